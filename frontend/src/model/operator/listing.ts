// A list of the fleet, whose filters and page are in the address.

import { computed, type ComputedRef, onBeforeUnmount, ref, type Ref, shallowRef, watch } from "vue";
import { type LocationQuery, useRoute, useRouter } from "vue-router";

import type { PageOf } from "../../api/fleet";
import type { Failure } from "../../api/problem";
import { asFailure, isAborted } from "../failure";
import { differs } from "./operations";

type Filters = Record<string, string>;

/** The filters with these names that an address has, and the cursor. */
export function filtersOf(names: readonly string[], query: LocationQuery): Filters {
  const found: Filters = {};
  for (const name of [...names, "cursor"]) {
    const value = query[name];
    const text = Array.isArray(value) ? value[0] : value;
    if (text) found[name] = text;
  }
  return found;
}

/** The filters after a change. Another filter begins at the first page; an empty one is left out. */
export function changedFilters(filters: Filters, by: Filters): Filters {
  const all: Filters = { ...filters, cursor: "", ...by };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ""));
}

export interface Listing<T> {
  filters: ComputedRef<Filters>;
  page: Ref<PageOf<T> | undefined>;
  failure: Ref<Failure | undefined>;
  loading: Ref<boolean>;
  isFiltered: ComputedRef<boolean>;
  change: (by: Filters, replace?: boolean) => void;
  load: () => Promise<void>;
  /** Read the same page again without a sign of it. Resolves to whether it has changed. */
  refresh: () => Promise<boolean>;
}

export function useListing<T>(
  names: readonly string[],
  read: (query: Filters, signal: AbortSignal) => Promise<PageOf<T>>,
): Listing<T> {
  const route = useRoute();
  const router = useRouter();
  const filters = computed(() => filtersOf(names, route.query));
  const isFiltered = computed(() => names.some((name) => name in filters.value));
  const page = shallowRef<PageOf<T>>();
  const failure = ref<Failure>();
  const loading = ref(false);
  let running: AbortController | undefined;

  async function load(): Promise<void> {
    running?.abort();
    const { signal } = (running = new AbortController());
    failure.value = undefined;
    loading.value = true;
    try {
      page.value = await read(filters.value, signal);
      loading.value = false;
    } catch (error) {
      if (isAborted(error)) return;
      loading.value = false;
      failure.value = asFailure(error);
    }
  }

  async function refresh(): Promise<boolean> {
    if (loading.value || failure.value) return false;
    const { signal } = (running = new AbortController());
    const found = await read(filters.value, signal).catch((error: unknown) => {
      if (isAborted(error)) return undefined; // another page is being read
      throw error;
    });
    if (found === undefined || !differs(found, page.value)) return false;
    page.value = found;
    return true;
  }

  function change(by: Filters, replace = false): void {
    const to = { query: changedFilters(filters.value, by) };
    void (replace ? router.replace(to) : router.push(to));
  }

  const { path } = route; // while the page is being left, the address is that of another
  watch(
    () => JSON.stringify(filters.value),
    () => {
      if (route.path === path) void load();
    },
    { immediate: true },
  );
  onBeforeUnmount(() => running?.abort());
  return { filters, page, failure, loading, isFiltered, change, load, refresh };
}

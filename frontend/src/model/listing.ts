// The list of a resource: what the address asks for, and the rows that are read for it.

import { computed, type ComputedRef, onScopeDispose, ref, type Ref, shallowRef, type ShallowRef, watch } from "vue";
import { type LocationQuery, type RouteParamsRaw, useRoute, useRouter } from "vue-router";

import type { Json } from "../api/json";
import type { Failure } from "../api/problem";
import { countRows, readPage, type RowPage } from "../api/rows";
import { LIMITS, type ListState, readState, shownColumns, shownView, writeState } from "./address";
import { changed } from "./changed";
import { asFailure, isAborted } from "./failure";
import type { Field } from "./field";
import { recall, remember } from "./kept";
import type { Resource } from "./resource";
import { readReferences } from "./titles";
import { useWorkspace } from "./workspace";

const LIMIT = "limit";

export interface Address {
  resource: ComputedRef<Resource | undefined>;
  state: ComputedRef<ListState | undefined>;
  /** The members that are shown as columns. */
  fields: ComputedRef<Field[]>;
  change: (by: Partial<ListState>, replace?: boolean) => Promise<unknown>;
}

interface Place {
  slug: string;
  resource: string;
}

/** The state of the list in the address. `replace` leaves no step for Back. */
export function useListAddress(place: Readonly<Place>): Address {
  const route = useRoute();
  const router = useRouter();
  const workspace = useWorkspace();
  const resource = computed(() => workspace.value.resources.find((each) => each.name === place.resource));
  /** A row that is opened leaves the text as it is, and with it the table. */
  const text = computed(() => JSON.stringify(route.query));
  const state = computed(() => {
    return resource.value ? stateOf(resource.value, JSON.parse(text.value) as LocationQuery) : undefined;
  });
  const fields = computed(() => {
    const columns = resource.value && state.value ? shownColumns(resource.value, state.value) : [];
    return columns.flatMap((name) => resource.value?.members.get(name) ?? []);
  });

  async function change(by: Partial<ListState>, replace = false): Promise<unknown> {
    if (!resource.value || !state.value) return undefined;
    if (by.columns) remember(columnsName(resource.value), by.columns as Json);
    if (by.limit) remember(LIMIT, by.limit);
    const params: RouteParamsRaw = { slug: place.slug, resource: place.resource };
    if (route.params.id) params.id = route.params.id; // opened while the words of a search were typed
    const to = { name: "rows", params, query: writeState({ ...state.value, ...by }) };
    return replace ? router.replace(to) : router.push(to);
  }

  return { resource, state, fields, change };
}

function stateOf(resource: Resource, query: LocationQuery): ListState {
  const read = readState(resource, query);
  const kept = recall<string[]>(columnsName(resource), []).filter((name) => resource.members.has(name));
  const limit = read.limit || (LIMITS.find((each) => each === recall<number>(LIMIT, 0)) ?? 0);
  return { ...read, limit, columns: read.columns.length > 0 ? read.columns : kept };
}

function columnsName(resource: Resource): string {
  return `columns.${resource.name}`;
}

export interface Rows {
  /** What the page is an answer to, as a text. */
  asked: ShallowRef<string>;
  /** Undefined until the first page of this resource is read. */
  page: ShallowRef<RowPage | undefined>;
  count: Ref<{ rows: number; exact: boolean } | null>;
  failure: Ref<Failure | undefined>;
  loading: Ref<boolean>;
  load: () => Promise<void>;
}

/** The rows that the address asks for. They are read again when it asks for others, and after a change by this page. */
export function useRows(place: Readonly<Place>, { resource, state, fields }: Address): Rows {
  const workspace = useWorkspace();
  const page = shallowRef<RowPage>();
  const count = ref<{ rows: number; exact: boolean } | null>(null);
  const failure = ref<Failure>();
  const loading = ref(false);
  const answered = shallowRef("");
  let running: AbortController | undefined;
  /** The list is read again when this changes, and not when a row is opened. */
  const asked = computed(() => JSON.stringify([place.slug, place.resource, state.value]));

  async function load(): Promise<void> {
    running?.abort();
    const found = resource.value;
    if (!found || !state.value || shownView(found, state.value) !== "list") {
      count.value = null;
      return;
    }
    const { signal } = (running = new AbortController());
    const at = { tenant: place.slug, resource: found };
    failure.value = undefined;
    loading.value = true;
    try {
      const text = asked.value;
      page.value = await readPage(at, state.value, signal);
      answered.value = text;
      loading.value = false;
      readReferences(workspace.value, fields.value, page.value.items);
      count.value = await countRows(at, state.value, signal);
    } catch (error) {
      if (isAborted(error)) return;
      loading.value = false;
      failure.value = asFailure(error);
    }
  }

  watch(
    () => place.resource,
    () => {
      page.value = undefined;
      count.value = null;
    },
  );
  watch([asked, changed], load, { immediate: true });
  onScopeDispose(() => running?.abort());
  return { page, asked: answered, count, failure, loading, load };
}

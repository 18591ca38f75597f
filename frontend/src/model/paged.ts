// A list that grows by a page at a time.

import { onScopeDispose, ref, type Ref, shallowRef, type ShallowRef } from "vue";

import type { Failure } from "../api/problem";
import { asFailure, isAborted } from "./failure";

interface Page<T> {
  items: T[];
  next: string | null;
}

export interface Paged<T> {
  /** Undefined until the first page is read. */
  items: ShallowRef<T[] | undefined>;
  next: Ref<string | null>;
  loading: Ref<boolean>;
  failure: Ref<Failure | undefined>;
  /** Read again as many pages as are shown, at least one. */
  load: () => Promise<void>;
  /** Read the next page, and show it below. */
  more: () => Promise<void>;
  /** Read again while all stays as it is shown. Resolves to whether something has changed. Throws `Failure`. */
  look: () => Promise<boolean>;
}

export function usePaged<T>(read: (cursor: string, signal: AbortSignal) => Promise<Page<T>>): Paged<T> {
  const items = shallowRef<T[]>();
  const next = ref<string | null>(null);
  const loading = ref(false);
  const failure = shallowRef<Failure>();
  let running: AbortController | undefined;
  let gone = false;

  /** Read pages until there are as many items as before, at least one page. */
  async function readFrom(cursor: string, before: T[], least: number): Promise<Page<T>> {
    running?.abort();
    const { signal } = (running = new AbortController());
    const found = [...before];
    let at = cursor;
    do {
      const page = await read(at, signal);
      found.push(...page.items);
      at = page.next ?? "";
    } while (at !== "" && found.length < least);
    return { items: found, next: at || null };
  }

  function show(page: Page<T>): void {
    items.value = page.items;
    next.value = page.next;
  }

  async function readPages(cursor: string, before: T[], least: number): Promise<void> {
    if (gone) return;
    failure.value = undefined;
    loading.value = true;
    try {
      show(await readFrom(cursor, before, least));
      loading.value = false;
    } catch (error) {
      if (isAborted(error)) return;
      loading.value = false;
      failure.value = asFailure(error);
    }
  }

  async function look(): Promise<boolean> {
    if (loading.value || gone) return false;
    const before = JSON.stringify([items.value, next.value]);
    try {
      const page = await readFrom("", [], items.value?.length ?? 0);
      const isOther = JSON.stringify([page.items, page.next]) !== before;
      if (isOther) show(page);
      return isOther;
    } catch (error) {
      if (isAborted(error)) return false;
      throw error;
    }
  }

  onScopeDispose(() => {
    gone = true;
    running?.abort();
  });
  return {
    items,
    next,
    loading,
    failure,
    load: () => readPages("", [], items.value?.length ?? 0),
    more: () => readPages(next.value ?? "", items.value ?? [], 0),
    look,
  };
}

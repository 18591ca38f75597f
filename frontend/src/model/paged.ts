// A list that grows by a page at a time.

import { onBeforeUnmount, ref, type Ref, shallowRef, type ShallowRef } from "vue";

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
  /** Read the first page again, or the page that a cursor names. */
  load: (cursor?: string) => Promise<void>;
  /** Read the next page, and show it below. */
  more: () => Promise<void>;
}

export function usePaged<T>(read: (cursor: string, signal: AbortSignal) => Promise<Page<T>>): Paged<T> {
  const items = shallowRef<T[]>();
  const next = ref<string | null>(null);
  const loading = ref(false);
  const failure = shallowRef<Failure>();
  let running: AbortController | undefined;

  async function readPage(cursor: string, before: T[]): Promise<void> {
    running?.abort();
    const { signal } = (running = new AbortController());
    failure.value = undefined;
    loading.value = true;
    try {
      const page = await read(cursor, signal);
      items.value = [...before, ...page.items];
      next.value = page.next;
      loading.value = false;
    } catch (error) {
      if (isAborted(error)) return;
      loading.value = false;
      failure.value = asFailure(error);
    }
  }

  onBeforeUnmount(() => running?.abort());
  return {
    items,
    next,
    loading,
    failure,
    load: (cursor = "") => readPage(cursor, []),
    more: () => readPage(next.value ?? "", items.value ?? []),
  };
}

// The rows that a person has chosen, as they were seen. Nothing that was not seen is ever among them.

import { type ComputedRef, computed, shallowRef, type ShallowRef } from "vue";

import type { Row } from "../api/json";

export const MOST_CHOSEN = 1000;

export interface Selection {
  chosen: ShallowRef<ReadonlyMap<string, Row>>;
  size: ComputedRef<number>;
  /** Choose a row or give it up; with `range`, all rows from the last one that was touched to this one. */
  toggle: (rows: readonly Row[], id: string, range: boolean) => void;
  /** Choose these rows, besides those that are chosen. */
  add: (rows: readonly Row[]) => void;
  remove: (rows: readonly Row[]) => void;
  /** Keep chosen rows as they are seen now. */
  see: (rows: readonly Row[]) => void;
  clear: () => void;
}

/** `mayChoose` says which rows can be chosen at all. */
export function useSelection(mayChoose: (row: Row) => boolean): Selection {
  const chosen = shallowRef<ReadonlyMap<string, Row>>(new Map());
  let last: string | undefined;

  function change(rows: readonly Row[], on: boolean): void {
    const next = new Map(chosen.value);
    for (const row of rows) {
      if (!on) next.delete(row.id);
      else if (mayChoose(row)) next.set(row.id, row);
    }
    chosen.value = next;
  }

  return {
    chosen,
    size: computed(() => chosen.value.size),
    toggle(rows, id, range) {
      const on = !chosen.value.has(id);
      change(range ? between(rows, last, id) : rows.filter((row) => row.id === id), on);
      last = id;
    },
    add: (rows) => change(rows, true),
    remove: (rows) => change(rows, false),
    see: (rows) => change(rows.filter((row) => chosen.value.has(row.id)), true),
    clear() {
      last = undefined;
      if (chosen.value.size > 0) chosen.value = new Map();
    },
  };
}

/** The rows from one to another, in either direction; only the other if the one is not on the page any more. */
export function between(rows: readonly Row[], from: string | undefined, to: string): readonly Row[] {
  const end = rows.findIndex((row) => row.id === to);
  const start = rows.findIndex((row) => row.id === from);
  const [first, last] = start < 0 ? [end, end] : [Math.min(start, end), Math.max(start, end)];
  return rows.slice(first, last + 1);
}

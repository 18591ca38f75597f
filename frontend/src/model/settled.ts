// What follows when the work on several rows has ended: a message, and the rows are chosen no more.

import { watch } from "vue";

import type { Row } from "../api/json";
import type { Versioned } from "../api/rows";
import type { Bulk } from "./bulking";
import { say, type Toast } from "./toasts";

/**
 * Close the dialog by itself if every row was accepted. Otherwise it stays to be read, and the returned function closes it.
 */
export function useSettled(
  bulk: Bulk,
  sentence: (count: number) => string,
  settle: (rows: Row[]) => void,
  close: () => void,
  actionFor: (done: Versioned[]) => Toast["action"] = () => undefined,
): () => void {
  function end(): void {
    const done = bulk.done.value;
    if (done.length > 0) say(sentence(done.length), actionFor(done));
    close();
    settle(done.map(({ row }) => row));
  }

  watch(bulk.phase, (phase) => {
    if (phase === "done" && bulk.refused.value.size === 0 && bulk.untried.value === 0) end();
  });
  return end;
}

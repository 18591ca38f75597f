// The focus goes somewhere when the row that had it is gone.

import { type Ref, watch } from "vue";

/** After a list has been read again: if the focus was in a row that is gone, it goes to the content of the page. */
export function useFocusAfter(...lists: Ref<unknown>[]): void {
  for (const list of lists) {
    watch(
      list,
      (_, before) => {
        if (before === undefined || document.querySelector("dialog[open]")) return;
        if (document.activeElement === document.body) document.getElementById("content")?.focus();
      },
      { flush: "post" },
    );
  }
}

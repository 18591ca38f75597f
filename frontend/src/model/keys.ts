// Keys that do something on one page, where nobody is writing and no dialog is open.

import { onBeforeUnmount, onMounted } from "vue";

export function useKey(key: string, run: () => void): void {
  function onKey(event: KeyboardEvent): void {
    if (event.key !== key || event.ctrlKey || event.metaKey || event.altKey) return;
    if (isWriting(event) || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    run();
  }

  onMounted(() => window.addEventListener("keydown", onKey));
  onBeforeUnmount(() => window.removeEventListener("keydown", onKey));
}

/** Whether a key is a letter of something that is being written. */
export function isWriting({ target }: KeyboardEvent): boolean {
  return target instanceof HTMLElement && target.matches("input:not([type=checkbox], [type=radio]), textarea, select");
}

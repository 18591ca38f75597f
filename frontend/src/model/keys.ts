// Keys that do something on one page, where nobody is writing and no dialog is open.

import { onBeforeUnmount, onMounted } from "vue";

export function useKey(key: string, run: () => void): void {
  function onKey(event: KeyboardEvent): void {
    if (event.key !== key || event.ctrlKey || event.metaKey || event.altKey) return;
    const isWriting = event.target instanceof HTMLElement && event.target.matches("input, textarea, select");
    if (isWriting || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    run();
  }

  onMounted(() => window.addEventListener("keydown", onKey));
  onBeforeUnmount(() => window.removeEventListener("keydown", onKey));
}

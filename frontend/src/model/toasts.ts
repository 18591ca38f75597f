// Short messages about what was done, which go away by themselves.

import { shallowRef } from "vue";

export interface Toast {
  id: number;
  text: string;
  action?: { label: string; run: () => void };
}

const SHOWN = 6_000; // milliseconds
const SHOWN_WITH_ACTION = 12_000;

export const toasts = shallowRef<Toast[]>([]);
let last = 0;

export function say(text: string, action?: Toast["action"]): void {
  const toast: Toast = { id: ++last, text, ...(action ? { action } : {}) };
  toasts.value = [...toasts.value.slice(-2), toast];
  setTimeout(() => dismiss(toast.id), action ? SHOWN_WITH_ACTION : SHOWN);
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((each) => each.id !== id);
}

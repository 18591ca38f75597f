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
const timers = new Map<number, ReturnType<typeof setTimeout>>();
let last = 0;

export function say(text: string, action?: Toast["action"]): void {
  const toast: Toast = { id: ++last, text, ...(action ? { action } : {}) };
  toasts.value = [...toasts.value.slice(-2), toast];
  leaveSoon(toast);
}

/** Let a message go after a while, unless somebody points at it. */
export function leaveSoon(toast: Toast): void {
  stay(toast);
  timers.set(toast.id, setTimeout(() => dismiss(toast.id), toast.action ? SHOWN_WITH_ACTION : SHOWN));
}

export function stay(toast: Toast): void {
  clearTimeout(timers.get(toast.id));
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((each) => each.id !== id);
}

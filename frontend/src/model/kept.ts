// What the browser remembers for a person. Nothing of it is needed: a browser may refuse to keep it.

import type { Json } from "../api/json";

const PREFIX = "tenantapp.";

export function recall<T extends Json>(name: string, otherwise: T): T {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? otherwise : (JSON.parse(text) as T);
  } catch {
    return otherwise;
  }
}

/** Do something whenever another tab of the browser remembers this. */
export function onRemembered(name: string, then: (value: Json) => void): void {
  window.addEventListener("storage", ({ key, newValue }) => {
    if (key === PREFIX + name && newValue !== null) then(recall<Json>(name, null));
  });
}

export function remember(name: string, value: Json): void {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Full, or not permitted.
  }
}

// What is written in a form survives a reload of the tab, until it is saved, thrown away, or the person signs out.

import type { Drafts } from "./editing";

const OURS = "tenantapp.";
const PREFIX = `${OURS}draft.`;

/** A change that was sent. The same text again is the same change, and has the same key. */
export interface Sent {
  text: string;
  key: string;
}

export const NOTHING_SENT: Sent = { text: "", key: "" };

export interface Unsaved {
  /** The version that it was written on top of. Saved on top of another one, it would undo what others have done. */
  etag: string | null;
  /** What was written, by field. */
  drafts: Drafts;
  /** The answer to it may have got lost. */
  sent: Sent;
}

/** Return what is sent now: the same change as before if it has the same text. */
export function sentAgain(before: Sent, text: string): Sent {
  return before.text === text ? before : { text, key: crypto.randomUUID() };
}

export function keepUnsaved(address: string, kept: Unsaved): void {
  try {
    sessionStorage.setItem(PREFIX + address, JSON.stringify(kept));
  } catch {
    // Full, or not permitted.
  }
}

export function unsaved(address: string): Unsaved | null {
  try {
    return JSON.parse(sessionStorage.getItem(PREFIX + address) ?? "null") as Unsaved | null;
  } catch {
    return null;
  }
}

export function forgetUnsaved(address: string): void {
  try {
    sessionStorage.removeItem(PREFIX + address);
  } catch {
    // Not permitted.
  }
}

/** Forget as well what else the tab keeps of the person. */
export function forgetAllUnsaved(): void {
  try {
    for (const name of Object.keys(sessionStorage)) if (name.startsWith(OURS)) sessionStorage.removeItem(name);
  } catch {
    // Not permitted.
  }
}

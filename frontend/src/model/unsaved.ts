// What is written in a form survives a reload of the tab, until it is saved, thrown away, or the person signs out.

import type { Drafts } from "./editing";

const PREFIX = "tenantapp.draft.";

interface Kept {
  /** The version that it was written on top of. On another one, it would undo what others have done. */
  etag: string | null;
  drafts: Drafts;
}

export function keepUnsaved(address: string, etag: string | null, drafts: Drafts): void {
  try {
    sessionStorage.setItem(PREFIX + address, JSON.stringify({ etag, drafts } satisfies Kept));
  } catch {
    // Full, or not permitted.
  }
}

export function unsaved(address: string, etag: string | null): Drafts | undefined {
  try {
    const kept = JSON.parse(sessionStorage.getItem(PREFIX + address) ?? "null") as Kept | null;
    return kept?.etag === etag ? kept.drafts : undefined;
  } catch {
    return undefined;
  }
}

export function forgetUnsaved(address: string): void {
  try {
    sessionStorage.removeItem(PREFIX + address);
  } catch {
    // Not permitted.
  }
}

export function forgetAllUnsaved(): void {
  try {
    for (const name of Object.keys(sessionStorage)) if (name.startsWith(PREFIX)) sessionStorage.removeItem(name);
  } catch {
    // Not permitted.
  }
}

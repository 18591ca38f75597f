// A part of the page that is loaded late cannot be had: the server was updated, and its name is another one now, or the
// network is gone. What is not saved survives a reload; but without a network, a reload would end at an error.

import { t } from "../strings";
import { say } from "./toasts";

const RELOADED = "tenantapp.reloaded"; // when, in milliseconds. In the tab: each has its own reason to be loaded again
const LEAST = 60_000; // milliseconds between two reloads
const PAUSE = 3_000; // milliseconds
let waiting = false;
/** How many parts are being loaded before anybody wants them. */
let ahead = 0;
let wanted: string | undefined;

/** Load a part before it is wanted. If it cannot be had, that matters when it is wanted. */
export async function loadAhead(part: () => Promise<unknown>): Promise<void> {
  ahead += 1;
  await part().catch(() => undefined);
  ahead -= 1;
}

export function onMissingPart(event: Event): void {
  if (ahead > 0 && wanted === undefined) return;
  if (Date.now() - lastReload() < LEAST) return; // a reload does not help: the fault is said
  event.preventDefault();
  if (!waiting) void reloadWhenReached();
}

/** Where the person wants to go, until they are there: the part that is missing may be the one for it. */
export function wantedAfterReload(path: string | undefined): void {
  wanted = path;
}

async function reloadWhenReached(): Promise<void> {
  waiting = true;
  let said = false;
  while (document.hidden || !(await isReached())) {
    if (!document.hidden && !said) say(t.problems.offline ?? "");
    said ||= !document.hidden;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  try {
    sessionStorage.setItem(RELOADED, String(Date.now()));
  } catch {
    // Not permitted.
  }
  if (wanted === undefined) window.location.reload();
  else window.location.assign(wanted);
}

async function isReached(): Promise<boolean> {
  return fetch("/", { method: "HEAD", cache: "no-store" }).then((answer) => answer.ok, () => false);
}

function lastReload(): number {
  try {
    return Number(sessionStorage.getItem(RELOADED));
  } catch {
    return Date.now();
  }
}

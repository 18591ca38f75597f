// An entry of the fleet's audit trail in words.

import type { AuditEntry } from "../../api/fleet";
import { exact } from "../times";
import { t } from "../../strings";
import { o } from "../../strings/operator";
import { textOf } from "../../strings/words";
import { KINDS } from "./operations";

const TIMES: ReadonlySet<string> = new Set(["purge_after", "expires_at"]);

export type Pair = [name: string, value: string];

/** The actions to choose from. A newer server may have others. */
export const ACTIONS: readonly string[] = [
  ...Object.keys(o.trail.actions),
  ...KINDS.filter((kind) => kind !== "warm" && kind !== "discard").map((kind) => `${kind}.request`),
];

/** What was done, in words; what is not known by its name. */
export function actionLabel(action: string): string {
  const [kind = "", how] = action.split(".");
  const asked = how === "request" ? textOf(o.operation.kinds, kind) : undefined;
  return textOf(o.trail.actions, action) ?? (asked && o.trail.requested(asked)) ?? action;
}

/** What says something to people, and apart from it the rest: ids, and what the page does not know. */
export function detailsOf(entry: AuditEntry): { known: Pair[]; rest: Pair[] } {
  const { arguments: given, operation: _, ...others } = entry.detail;
  const members = Object.entries({ ...(isObject(given) ? given : {}), ...others }).filter(([, value]) => value !== null);
  const known = members.flatMap(([name, value]): Pair[] => {
    const label = textOf(o.trail.details, name);
    return label === undefined ? [] : [[label, TIMES.has(name) ? exact(String(value)) : shown(value)]];
  });
  const rest = members
    .filter(([name]) => textOf(o.trail.details, name) === undefined)
    .map(([name, value]): Pair => [name, shown(value)]);
  if (entry.request_id !== null) rest.push([o.trail.request, entry.request_id]);
  return { known, rest };
}

export function operationOf({ detail }: AuditEntry): string | undefined {
  return typeof detail.operation === "string" ? detail.operation : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
  if (typeof value === "boolean") return value ? t.app.yes : t.app.no;
  if (Array.isArray(value)) return value.map(shown).join(", ");
  if (isObject(value)) return Object.values(value).filter((each) => each !== null).map(shown).join(", ");
  return String(value);
}

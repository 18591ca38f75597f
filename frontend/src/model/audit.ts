// The details of an entry of the audit trail, in words.

import type { OwnAuditEntry } from "../../generated/api/types.gen";
import { t } from "../strings";
import { m } from "../strings/managing";
import { textOf } from "../strings/words";
import { exact } from "./times";

/** What is done in a workspace, in words; what is not known by its name. */
export function actionLabel(action: string): string {
  return textOf(m.audit.actions, action) ?? action;
}

/** Each detail that says something to people, with its value. Ids of rows and operations do not. */
export function detailsOf(entry: OwnAuditEntry): [string, string][] {
  return Object.entries(entry.detail)
    .filter(([name]) => name in m.audit.details)
    .map(([name, value]) => [textOf(m.audit.details, name) ?? name, name === "expires_at" ? exact(String(value)) : shown(value)]);
}

function shown(value: unknown): string {
  if (typeof value === "boolean") return value ? t.app.yes : t.app.no;
  if (Array.isArray(value)) return value.map(shown).join(", ");
  if (typeof value === "object" && value !== null) return Object.values(value).map(shown).join(", ");
  return String(value);
}

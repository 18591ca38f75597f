// The fields that one value can make sense in for many rows, and what is sent for each row.

import type { Json, Row } from "../api/json";
import { b } from "../strings/bulk";
import type { Field } from "./field";
import type { Resource } from "./resource";
import { type Draft, draftOf, parse } from "./value";

export const HOWS = ["add", "remove", "set"] as const;
type How = (typeof HOWS)[number];

export interface FieldChange {
  field: Field;
  draft: Draft;
  /** What happens to a list that a row has already. */
  how: How;
}

/** Not what names a row, no long texts, and no files. */
export function bulkFields(resource: Resource): Field[] {
  const long = new Set<Field["kind"]>(["file", "json", "markdown", "multiline"]);
  return resource.fields.filter((field) => field.name !== resource.title && !long.has(field.kind));
}

export function startOf(field: Field): FieldChange {
  const draft = draftOf(field, field.initial);
  return { field, how: "add", draft: field.kind === "choice" && draft === "" && !field.nullable ? (field.choices[0] ?? "") : draft };
}

interface Checked {
  values: Record<string, Json>;
  wrong: Record<string, string>;
}

export function checkChanges(changes: readonly FieldChange[]): Checked {
  const checked: Checked = { values: {}, wrong: {} };
  for (const { field, draft, how } of changes) {
    const parsed = parse(field, draft);
    if (!parsed.ok) checked.wrong[field.name] = parsed.message;
    else if (isList(field) && how !== "set" && draft.toString() === "") checked.wrong[field.name] = b.nothing;
    else checked.values[field.name] = parsed.value;
  }
  return checked;
}

/** What is sent for a row. Lists are added to those that the row has, or taken away from them. */
export function bodyFor(changes: readonly FieldChange[], values: Record<string, Json>, row: Row): Record<string, Json> {
  const entries = changes.map(({ field, how }): [string, Json] => {
    const value = values[field.name] ?? null;
    return [field.name, isList(field) ? listOf(how, row[field.name], value) : value];
  });
  return Object.fromEntries(entries);
}

function isList(field: Field): boolean {
  return field.kind === "texts";
}

function listOf(how: How, before: Json | undefined, given: Json): Json {
  if (how === "set" || !Array.isArray(given)) return given;
  const present = Array.isArray(before) ? before : [];
  if (how === "remove") return present.filter((each) => !given.includes(each));
  return [...present, ...given.filter((each) => !present.includes(each))];
}

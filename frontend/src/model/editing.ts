// What a form sends, and what it shows of an answer.

import { type Json, type Row, writeJson } from "../api/json";
import type { Pointed } from "../api/problem";
import type { Field } from "./field";
import { type Draft, draftOf, parse, sameDraft } from "./value";

export type Drafts = Record<string, Draft>;

interface Checked {
  body: Record<string, Json>;
  errors: Record<string, string>;
}

/** `given` has fields of a new row that are filled in already. */
export function draftsOf(fields: readonly Field[], row: Row | undefined, given: Record<string, Json> = {}): Drafts {
  const valueOf = ({ name, initial }: Field): Json | undefined => (row ? row[name] : (given[name] ?? initial));
  return Object.fromEntries(fields.map((each) => [each.name, draftOf(each, valueOf(each))]));
}

export function isChanged(fields: readonly Field[], drafts: Drafts, before: Drafts): boolean {
  return Object.keys(writtenOf(fields, drafts, before)).length > 0;
}

/** The drafts of the fields that were changed. */
export function writtenOf(fields: readonly Field[], drafts: Drafts, before: Drafts): Drafts {
  const names = fields.map((each) => each.name).filter((name) => !sameDraft(drafts[name], before[name]));
  return Object.fromEntries(names.map((name) => [name, drafts[name] ?? ""]));
}

/** Read the fields that were changed; all of them for a new row. */
export function check(fields: readonly Field[], drafts: Drafts, before: Drafts | null): Checked {
  const body: Record<string, Json> = {};
  const errors: Record<string, string> = {};
  for (const field of fields) {
    const draft = drafts[field.name] ?? "";
    if (before !== null && sameDraft(draft, before[field.name])) continue;
    const parsed = parse(field, draft);
    if (parsed.ok) body[field.name] = parsed.value;
    else errors[field.name] = parsed.message;
  }
  return { body, errors };
}

/** The sentences of a 422 by the field that their pointer leads into, and those that belong to none. */
export function errorsOf(fields: readonly Field[], pointed: readonly Pointed[]): [Record<string, string>, string[]] {
  const known = new Set(fields.map((each) => each.name));
  const errors: Record<string, string> = {};
  const others: string[] = [];
  for (const { pointer, detail } of pointed) {
    const name = (pointer.split("/")[1] ?? "").replaceAll("~1", "/").replaceAll("~0", "~");
    if (known.has(name)) errors[name] ??= detail;
    else others.push(detail);
  }
  return [errors, others];
}

/** The fields that a person changed, and that are different now in the row of somebody else. */
export function differences(
  fields: readonly Field[],
  body: Record<string, Json>,
  current: Record<string, Json>,
): { field: Field; yours: Json; theirs: Json }[] {
  return fields.flatMap((field) => {
    const yours = body[field.name];
    const theirs = current[field.name] ?? null;
    if (yours === undefined || writeJson(yours) === writeJson(theirs)) return [];
    return [{ field, yours, theirs }];
  });
}

/** What a client may write of a row: with it, a deleted row is put back. */
export function contentOf(fields: readonly Field[], row: Row): Record<string, Json> {
  return Object.fromEntries(fields.flatMap((each) => (each.name in row ? [[each.name, row[each.name] ?? null]] : [])));
}

/** Check one field that was left. Undefined if there is nothing to say. */
export function complaint(field: Field, draft: Draft): string | undefined {
  const parsed = parse(field, draft);
  return parsed.ok ? undefined : parsed.message;
}

// What a person writes into a field, and what the API reads and answers.

import { type Json, readJson, writeJson } from "../api/json";
import { t } from "../strings";
import type { Field } from "./field";

/** What a control of a form holds. */
export type Draft = string | boolean | string[];

const MINUTES = "2026-01-31T09:30".length; // a browser leaves out seconds that are 0

/** Half of an emoji, as some programs leave it on the clipboard. No server can read it. */
const HALF = /\p{Surrogate}/u;

export type Parsed = { ok: true; value: Json } | { ok: false; message: string };

export function draftOf(field: Field, value: Json | undefined): Draft {
  const given = value ?? null;
  switch (field.kind) {
    case "boolean":
      return field.nullable ? (given === null ? "" : String(given)) : given === true;
    case "texts":
      return Array.isArray(given) ? given.map(String) : [];
    case "datetime":
      return typeof given === "string" ? toLocal(given) : "";
    case "json":
      return given === null ? "" : writeJson(given, 2);
    default:
      return given === null ? "" : String(given);
  }
}

/** Read what was written. An empty control is null, or the empty text where the field has no null. */
export function parse(field: Field, draft: Draft): Parsed {
  if (typeof draft === "boolean") return good(draft);
  if (HALF.test(String(draft))) return bad(t.form.half);
  if (Array.isArray(draft)) return parseTexts(field, draft);
  if (draft.trim() === "" && !(isText(field) && !field.nullable && !field.required)) return parseEmpty(field);
  switch (field.kind) {
    case "integer":
    case "number":
      return parseNumber(field, draft.trim());
    case "boolean":
      return good(draft === "true");
    case "datetime":
      return parseTime(draft);
    case "localtime":
      return good(draft.length === MINUTES ? `${draft}:00` : draft);
    case "choice":
      return good(field.schema.enum?.find((each) => String(each) === draft) ?? draft);
    case "json":
      return parseJson(draft);
    default:
      return parseText(field, draft);
  }
}

function isText(field: Field): boolean {
  return field.kind === "text" || field.kind === "multiline" || field.kind === "markdown";
}

export function sameDraft(one: Draft | undefined, other: Draft | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function parseEmpty(field: Field): Parsed {
  if (field.nullable) return good(null);
  if (field.required) return bad(t.form.needed);
  return good(field.initial);
}

function parseTexts(field: Field, draft: string[]): Parsed {
  const most = field.schema.maxItems;
  if (most !== undefined && draft.length > most) return bad(t.form.atMostItems(most));
  return good(draft);
}

function parseNumber(field: Field, text: string): Parsed {
  const { minimum, maximum } = field.schema;
  const value = numberOf(text);
  if (value === null) return bad(t.form.number);
  if (field.kind === "integer" && typeof value === "number" && !Number.isSafeInteger(value)) return bad(t.form.integer);
  if (minimum !== undefined && value < minimum) return bad(t.form.atLeast(minimum));
  if (maximum !== undefined && value > maximum) return bad(t.form.atMost(maximum));
  return good(value);
}

/** A number in decimal digits; a bigint if another one would round it. */
function numberOf(text: string): number | bigint | null {
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return null;
  const value = Number(text);
  if (!Number.isFinite(value)) return null;
  return /^[+-]?\d+$/.test(text) && !Number.isSafeInteger(value) ? BigInt(text.replace("+", "")) : value;
}

function parseText(field: Field, text: string): Parsed {
  const { maxLength, minLength } = field.schema;
  const length = [...text].length; // characters, as the API counts them
  if (maxLength !== undefined && length > maxLength) return bad(t.form.tooLong(maxLength, length));
  if (minLength !== undefined && length < minLength) return bad(t.form.tooShort(minLength));
  return good(text);
}

function parseTime(text: string): Parsed {
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? bad(t.form.time) : good(time.toISOString());
}

function parseJson(text: string): Parsed {
  try {
    return good(readJson(text));
  } catch {
    return bad(t.form.json);
  }
}

/** RFC 3339 in UTC as `datetime-local` has it, in the zone of the browser. */
export function toLocal(text: string): string {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return "";
  const two = (part: number): string => String(part).padStart(2, "0");
  // Not by getTimezoneOffset(), which has no seconds: before about 1900 zones have some.
  const date = [String(time.getFullYear()).padStart(4, "0"), two(time.getMonth() + 1), two(time.getDate())].join("-");
  return `${date}T${[time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":")}`;
}

function good(value: Json): Parsed {
  return { ok: true, value };
}

function bad(message: string): Parsed {
  return { ok: false, message };
}

// Fields and members of a resource, by their JSON schema.

import type { Json } from "../api/json";

type Kind =
  | "text"
  | "multiline"
  | "markdown"
  | "integer"
  | "number"
  | "boolean"
  | "date"
  | "time"
  | "datetime"
  | "localtime"
  | "choice"
  | "reference"
  | "file"
  | "texts"
  | "json";

export interface Schema {
  $ref?: string;
  type?: string;
  format?: string;
  enum?: Json[];
  const?: Json;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  default?: Json;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  minimum?: number | bigint;
  maximum?: number | bigint;
  minItems?: number;
  maxItems?: number;
  description?: string;
}

export interface Field {
  name: string;
  label: string;
  kind: Kind;
  required: boolean;
  nullable: boolean;
  /** The value of a new row. */
  initial: Json;
  choices: string[];
  /** How choices are called, where that is not what they are. */
  texts: Record<string, string>;
  /** The resource whose row this is the id of, `PEOPLE` or `FILES`. */
  reference: string | undefined;
  /** The resource whose titles are suggested. */
  suggests: string | undefined;
  schema: Schema;
  help: string | undefined;
}

/** In the place of a resource: no resource has these names. */
export const PEOPLE = "/people";
export const FILES = "/files";

export interface FieldHints {
  labels: Record<string, string>;
  hints: Record<string, string>;
  references: Record<string, string>;
  /** The members that are ids of files. */
  files?: string[];
  suggests: Record<string, string>;
  choices?: Record<string, Record<string, string>>;
  help?: Record<string, string>;
}

export type Resolve = (schema: Schema) => Schema;

export function fieldOf(name: string, given: Schema, required: boolean, hints: FieldHints, resolve: Resolve): Field {
  const { schema, nullable } = withoutNull(given, resolve);
  const reference = hints.files?.includes(name) ? FILES : hints.references[name];
  const choices = choicesOf(schema);
  return {
    name,
    label: hints.labels[name] ?? labelOf(name),
    kind: kindOf(schema, reference, hints.hints[name], choices, resolve),
    required,
    nullable,
    initial: given.default ?? (nullable || required ? null : emptyOf(schema)),
    choices,
    texts: hints.choices?.[name] ?? {},
    reference,
    suggests: hints.suggests[name],
    schema,
    help: hints.help?.[name] ?? given.description ?? schema.description,
  };
}

/** An id that refers to no resource is that of a person: the user database has no rows that a domain could refer to. */
export function withPeople(field: Field): Field {
  const isPerson = field.schema.format === "uuid" && field.reference === undefined && field.name !== "id";
  return isPerson ? { ...field, reference: PEOPLE } : field;
}

/** A choice in words. */
export function choiceLabel(field: Field, value: string): string {
  return field.texts[value] ?? value;
}

/** `price_cents` is labelled `Price cents`, and `parent_id` `Parent`. */
export function labelOf(name: string): string {
  const words = name.replace(/_(id|at|on)$/, "").replaceAll("_", " ").trim() || name;
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function withoutNull(given: Schema, resolve: Resolve): { schema: Schema; nullable: boolean } {
  const outer = resolve(given);
  const choices = (outer.anyOf ?? outer.oneOf)?.map(resolve);
  if (!choices) return { schema: outer, nullable: outer.type === "null" };
  const others = choices.filter((each) => each.type !== "null");
  const nullable = others.length < choices.length;
  if (others.length === 1) return { schema: { ...outer, anyOf: [], ...others[0] }, nullable };
  return { schema: togetherOf(others), nullable };
}

/** A decimal is a text or an integer, and is written as the text. Other types of several kinds are written as JSON. */
function togetherOf(choices: Schema[]): Schema {
  return choices.find((each) => each.format === "decimal") ?? {};
}

function choicesOf(schema: Schema): string[] {
  if (schema.const !== undefined) return [String(schema.const)];
  return (schema.enum ?? []).map(String);
}

function kindOf(
  schema: Schema,
  reference: string | undefined,
  hint: string | undefined,
  choices: string[],
  resolve: Resolve,
): Kind {
  if (reference !== undefined) return reference === FILES ? "file" : "reference";
  if (choices.length > 0) return "choice";
  switch (schema.type) {
    case "integer":
    case "number":
    case "boolean":
      return schema.type;
    case "array":
      return schema.items && isPlainText(resolve(schema.items)) ? "texts" : "json";
    case "string":
      return ofText(schema, hint);
    default:
      return "json";
  }
}

function isPlainText(schema: Schema): boolean {
  return schema.type === "string";
}

function ofText(schema: Schema, hint: string | undefined): Kind {
  if (hint === "markdown" || hint === "multiline") return hint;
  switch (schema.format) {
    case "date":
      return schema.format;
    case "time-local":
      return "time";
    case "date-time":
      return "datetime";
    case "date-time-local":
      return "localtime";
    default:
      return "text";
  }
}

function emptyOf(schema: Schema): Json {
  switch (schema.type) {
    case "boolean":
      return false;
    case "array":
      return [];
    case "string":
      return schema.enum || schema.format ? null : "";
    default:
      return null;
  }
}

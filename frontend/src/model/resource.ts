// The resources that the document of the API describes. Nothing about them is known before.

import type { Row } from "../api/json";
import { language, locale } from "../strings/language";
import type { DeclaredPermissions, Registration } from "./declared";
import { type Field, fieldOf, type FieldHints, labelOf, type Resolve, type Schema, withPeople } from "./field";

const OPERATORS = ["", "not_", "in_", "min_", "max_", "gt_", "lt_", "has_", "like_"] as const;
export type Operator = (typeof OPERATORS)[number];

/** The words of a resource in one language, as far as its builder has said them. */
interface Translation extends Partial<Pick<FieldHints, "labels" | "choices" | "help">> {
  label?: string;
  noun?: string;
}

interface Extension extends FieldHints {
  path: string;
  noun: string;
  label: string;
  icon: string;
  order: number;
  columns: string[];
  title: string;
  filters: Record<string, string[]>;
  sorts: string[];
  search: boolean;
  undo: boolean;
  /** The address of the module of a builder's own component. */
  component: string | null;
  /** The member that refers to the row above, and the filter for it, if the rows are a tree. */
  tree: { member: string; filter: string } | null;
  /** The member that refers to the row of another resource in which the rows are shown, and the filter for it. */
  within?: { member: string; filter: string; resource: string } | null;
  translations?: Record<string, Translation>;
  owner: string | null;
  version: string | null;
  history: boolean;
  permissions: { read: string; create: string; write: string; over: string | null };
}

interface Operation {
  parameters?: { name?: string; schema?: Schema; $ref?: string }[];
  requestBody?: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { content?: Record<string, { schema: Schema }> }>;
}

export interface Document {
  tags: { name: string; description?: string; "x-resource"?: Extension }[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
  "x-permissions"?: DeclaredPermissions;
  "x-registration"?: Registration;
}

export interface Filter {
  name: string;
  label: string;
  operators: Operator[];
  /** The value that an operator compares with; a list for `in_`. */
  field: Field;
  /** Words that stand for conditions, such as `root`. */
  words: string[];
}

/** A resource as the document describes it. Builders' components are given this, so it is public. */
export interface Described extends Extension {
  name: string;
  description: string;
}

export interface Resource extends Described {
  described: Described;
  /** What a client may write. */
  fields: Field[];
  /** What a row shows, by name. */
  members: Map<string, Field>;
  /** The members that are ids and whole numbers in the API. */
  numbered: string[];
  filterList: Filter[];
  can: { create: boolean; change: boolean; remove: boolean };
}

export function resourcesOf(document: Document, inLanguage: string = language): Resource[] {
  const found = document.tags.flatMap((tag) => {
    const extension = tag["x-resource"];
    return extension ? [resourceOf(document, tag.name, tag.description ?? "", translated(extension, inLanguage))] : [];
  });
  return found.sort((one, other) => one.order - other.order || one.label.localeCompare(other.label, locale));
}

function translated(extension: Extension, inLanguage: string): Extension {
  const said = extension.translations?.[inLanguage];
  return said ? { ...extension, ...said, labels: { ...extension.labels, ...said.labels } } : extension;
}

function resourceOf(document: Document, name: string, description: string, extension: Extension): Resource {
  const resolve = resolver(document);
  const many = document.paths[extension.path] ?? {};
  const one = document.paths[`${extension.path}/{id}`] ?? {};
  const body = resolve(many.post?.requestBody?.content["application/json"]?.schema ?? {});
  const row = resolve(one.get?.responses["200"]?.content?.["application/json"]?.schema ?? {});
  const needed = new Set(body.required);
  const members = fieldsOf(row, () => false, extension, resolve).map(withPeople);
  const described = { ...extension, name, description };
  return {
    ...described,
    described,
    fields: fieldsOf(body, (field) => needed.has(field), extension, resolve),
    members: new Map(members.map((field) => [field.name, field])),
    numbered: members.filter(isNumbered).map((field) => field.name),
    filterList: Object.entries(extension.filters).map(([filter, operators]) =>
      filterOf(filter, operators, many.get ?? { responses: {} }, extension, resolve),
    ),
    can: { create: "post" in many, change: "patch" in one, remove: "delete" in one },
  };
}

function isNumbered({ name, reference, schema }: Field): boolean {
  return schema.type === "integer" && (name === "id" || reference !== undefined);
}

function fieldsOf(
  schema: Schema,
  isRequired: (name: string) => boolean,
  hints: FieldHints,
  resolve: Resolve,
): Field[] {
  const properties = Object.entries(schema.properties ?? {});
  return properties.map(([name, each]) => fieldOf(name, each, isRequired(name), hints, resolve));
}

function filterOf(
  name: string,
  operators: string[],
  list: Operation,
  extension: Extension,
  resolve: Resolve,
): Filter {
  const parameter = list.parameters?.find((each) => each.name === name || each.name === `${operators[0]}${name}`);
  const given = parameter?.schema ?? {};
  const words = (given.anyOf ?? []).flatMap((each) => (typeof each.const === "string" ? [each.const] : []));
  const schema = words.length > 0 ? { anyOf: (given.anyOf ?? []).filter((each) => each.const === undefined) } : given;
  return {
    name,
    label: extension.labels[name] ?? labelOf(name),
    operators: OPERATORS.filter((each) => operators.includes(each)),
    field: withPeople(fieldOf(name, schema, true, { ...extension, hints: {} }, resolve)),
    words,
  };
}

function resolver(document: Document): Resolve {
  return function resolve(schema: Schema): Schema {
    const name = schema.$ref?.split("/").pop();
    const found = name === undefined ? undefined : document.components.schemas[name];
    return found ? { ...resolve(found), ...(schema.default === undefined ? {} : { default: schema.default }) } : schema;
  };
}

/** A character that can be seen, unlike spaces, joiners and fillers. */
const VISIBLE = /[^\p{Z}\p{C}\p{Default_Ignorable_Code_Point}\u2800]/u;

/** The text that names a row. */
export function titleOf(resource: Resource, row: Row): string {
  const title = row[resource.title];
  return typeof title === "string" && VISIBLE.test(title) ? title : row.id.slice(0, 8);
}

/** The version of a row, if its resource counts them. */
export function versionOf(resource: Resource, row: Row | undefined): number | null {
  const version = resource.version === null ? null : row?.[resource.version];
  return typeof version === "number" ? version : null;
}

/** The id of the person whose row it is, if rows belong to people. */
export function ownerOf(resource: Resource, row: Row): string | null {
  const owner = resource.owner === null ? null : row[resource.owner];
  if (owner !== null && typeof owner === "object" && !Array.isArray(owner)) return String(owner.id);
  return typeof owner === "string" ? owner : null;
}

export function mayCreate(resource: Resource, permissions: readonly string[]): boolean {
  return resource.can.create && permissions.includes(resource.permissions.create);
}

/** Whether the person may change a row, as far as roles tell. */
export function mayChange(resource: Resource, row: Row, permissions: readonly string[], person: string): boolean {
  const { write, over } = resource.permissions;
  if (!permissions.includes(write)) return false;
  return over === null || permissions.includes(over) || ownerOf(resource, row) === person;
}

/** A row that is put back belongs to who puts it back, so only one's own can be. */
export function canUndo(
  resource: Resource,
  row: Row,
  { permissions, person }: { permissions: readonly string[]; person: string },
): boolean {
  const owner = ownerOf(resource, row);
  return resource.undo && (owner === null || owner === person) && permissions.includes(resource.permissions.create);
}

// Resources whose rows are shown within the rows of another one, such as comments on a node.

import type { Row } from "../api/json";
import type { Field } from "./field";
import { type Resource, titleOf } from "./resource";

/** A resource whose rows are shown within others. */
export type Within = Resource & { within: NonNullable<Resource["within"]> };

const LONG = 500; // characters of a text that wants several lines
const SHORT = 60; // characters of a title that a button says

export function isWithin(resource: Resource, outer: string): resource is Within {
  return resource.within?.resource === outer;
}

/** How a new row is made: by writing one text, by choosing files, or with a form. */
export function wayToAdd({ fields, within }: Within): { kind: "text" | "file"; field: Field } | { kind: "form" } {
  const [field, ...others] = fields.filter((each) => each.name !== within.member);
  if (!field || others.length > 0) return { kind: "form" };
  if (field.kind === "file") return { kind: "file", field };
  if (field.kind === "text") return { kind: "text", field: isLong(field) ? { ...field, kind: "multiline" } : field };
  return field.kind === "multiline" || field.kind === "markdown" ? { kind: "text", field } : { kind: "form" };
}

function isLong({ schema }: Field): boolean {
  return (schema.maxLength ?? Infinity) > LONG;
}

/** The member that is the id of a file, which a row stands for. */
export function fileOf({ members }: Within): Field | undefined {
  return [...members.values()].find((each) => each.kind === "file");
}

/** What is shown of a row beside its title. */
export function besides(resource: Within): Field[] {
  const shown = [resource.title, resource.within.member];
  return resource.columns.filter((name) => !shown.includes(name)).flatMap((name) => resource.members.get(name) ?? []);
}

/** Whether rows have a name of their own, and not only an id. */
export function isNamed({ title }: Resource): boolean {
  return title !== "id";
}

/** A title that a button can say. */
export function shortTitle(resource: Resource, row: Row): string {
  if (!isNamed(resource)) return resource.noun;
  const letters = [...titleOf(resource, row).replace(/\s+/g, " ")];
  return letters.length > SHORT ? `${letters.slice(0, SHORT).join("")}…` : letters.join("");
}

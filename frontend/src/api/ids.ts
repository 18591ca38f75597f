// Ids that are whole numbers in the API. The page has every id as a text, as addresses have them.

import type { Resource } from "../model/resource";
import type { Json } from "./json";

type Numbered = Pick<Resource, "numbered">;
type Members = Record<string, Json>;

/** A row or a part of it, as it was read. */
export function fromApi<T extends object>({ numbered }: Numbered, row: T): T {
  return converted(numbered, row, (id) => (typeof id === "number" || typeof id === "bigint" ? String(id) : id));
}

/** What is sent. */
export function toApi<T extends object>({ numbered }: Numbered, body: T): T {
  return converted(numbered, body, (id) => (typeof id === "string" && /^-?\d+$/.test(id) ? numberOf(id) : id));
}

function converted<T extends object>(names: readonly string[], given: T, convert: (id: Json) => Json): T {
  if (names.length === 0) return given;
  const ids = names.filter((name) => name in given).map((name) => [name, convert((given as Members)[name] ?? null)]);
  return { ...given, ...Object.fromEntries(ids) };
}

function numberOf(id: string): number | bigint {
  return Number.isSafeInteger(Number(id)) ? Number(id) : BigInt(id);
}

// The beginning of a CSV file, as far as it is looked at before it is sent: which columns it has, and its first rows.

import type { Field } from "./field";

export const LOOKED_AT = 65_536; // bytes
const SHOWN = 5; // rows
const BOM = [0xef, 0xbb, 0xbf];
const CELL = /(?:"([^"]*(?:""[^"]*)*)"|([^",\r\n]*))(,|\r?\n|$)/y;

export interface Column {
  /** As it is called in the file. */
  head: string;
  /** The field that its values are for. */
  field: Field | undefined;
}

export interface Beginning {
  columns: Column[];
  rows: string[][];
  /** Fields that a row needs, and the file has no column for. */
  missing: Field[];
  /** Where the second line begins, in bytes. */
  afterHead: number;
}

/** Why a file is not worth sending. */
export type Unfit = "empty" | "encoding" | "semicolons" | "broken";

/** `isWhole` says that these bytes are all of the file. */
export function beginningOf(bytes: Uint8Array, isWhole: boolean, fields: readonly Field[]): Beginning | Unfit {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: !isWhole });
  } catch {
    return "encoding";
  }
  const [head, ...records] = recordsOf(text, isWhole);
  if (head === undefined) return text.trim() === "" ? "empty" : "broken";
  if (head.values.length === 1 && head.values[0]?.includes(";")) return "semicolons";
  const columns = columnsOf(head.values, fields);
  const found = new Set(columns.map(({ field }) => field));
  const mark = BOM.every((byte, index) => bytes[index] === byte) ? BOM.length : 0;
  return {
    columns,
    rows: records.slice(0, SHOWN).map(({ values }) => values),
    missing: fields.filter((each) => each.required && !found.has(each)),
    afterHead: mark + new TextEncoder().encode(text.slice(0, head.end)).length,
  };
}

/** Whether a file is chosen once more, as it was. */
export function isSameFile(one: File | undefined, other: File): boolean {
  return one?.name === other.name && one.size === other.size && one.lastModified === other.lastModified;
}

/** The file with the names of the fields in its first line, where people have written their labels. */
export function toSend(file: Blob, { columns, afterHead }: Beginning): Blob {
  if (columns.every(({ head, field }) => head === field?.name)) return file;
  return new Blob([columns.map(({ head, field }) => field?.name ?? head).join(","), "\r\n", file.slice(afterHead)]);
}

/** A column is for the field with its name or its label, in either case, and each field has one column. */
function columnsOf(heads: readonly string[], fields: readonly Field[]): Column[] {
  const left = new Set(fields);
  return heads.map((given) => {
    const head = given.trim();
    const wanted = head.toLocaleLowerCase();
    const found = [...left].find(({ name }) => name === head) ?? [...left].find(({ label }) => label.toLocaleLowerCase() === wanted);
    if (found) left.delete(found);
    return { head, field: found };
  });
}

interface Line {
  values: string[];
  /** Where it ends in the text. */
  end: number;
}

/** The records of a text, as far as they can be read (RFC 4180). Those of an empty line are left out. */
function recordsOf(text: string, isWhole: boolean): Line[] {
  const lines: Line[] = [];
  let values: string[] = [];
  CELL.lastIndex = 0;
  for (let cell = CELL.exec(text); cell && lines.length <= SHOWN; cell = CELL.exec(text)) {
    const [, quoted, plain = "", after] = cell;
    values.push(quoted?.replaceAll('""', '"') ?? plain);
    if (after === ",") continue;
    if (after === "" && !isWhole) break; // cut off
    if (values.length > 1 || values[0] !== "") lines.push({ values, end: CELL.lastIndex });
    values = [];
    if (after === "" || CELL.lastIndex >= text.length) break;
  }
  return lines;
}

// What the tenants answered to a query, as one table.

import type { TenantRows } from "../../api/fleet";
import type { Json, Row } from "../../api/json";

export interface AnswerTable {
  columns: string[];
  rows: { tenant: string; values: Json[] }[];
  failures: { tenant: string; failure: string }[];
  truncated: string[];
}

/** Tenants at different revisions may have different columns: the table has all of them. */
export function tableOf(answers: readonly TenantRows[]): AnswerTable {
  const columns = [...new Set(answers.flatMap((each) => each.columns))];
  const rows = answers.flatMap((each) => {
    const places = columns.map((column) => each.columns.indexOf(column));
    return each.rows.map((row) => ({
      tenant: each.tenant,
      values: places.map((place) => (place < 0 ? null : ((row[place] ?? null) as Json))),
    }));
  });
  return {
    columns,
    rows,
    failures: answers.flatMap(({ tenant, failure }) => (failure === null ? [] : [{ tenant, failure }])),
    truncated: answers.filter((each) => each.truncated).map((each) => each.tenant),
  };
}

/** The columns and rows for `csvOf`. A column of a statement may have any name, so they are numbered. */
export function csvRows(table: AnswerTable): { columns: { name: string; label: string }[]; rows: Row[] } {
  const columns = table.columns.map((label, index) => ({ name: `c${index}`, label }));
  const rows = table.rows.map(({ tenant, values }, number) => ({
    id: String(number),
    tenant,
    ...Object.fromEntries(values.map((value, index) => [`c${index}`, value])),
  }));
  return { columns: [{ name: "tenant", label: "tenant" }, ...columns], rows };
}

export function shown(value: Json): string {
  if (value === null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Slugs that are separated by commas or spaces; null for all tenants. */
export function slugsOf(text: string): string[] | null {
  const found = text.split(/[\s,]+/).filter(Boolean);
  return found.length > 0 ? [...new Set(found)] : null;
}

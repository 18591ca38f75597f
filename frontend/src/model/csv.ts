// Rows as CSV (RFC 4180).

import type { Json, Row } from "../api/json";

const BOM = "\uFEFF"; // spreadsheets read UTF-8 only with it

export function csvOf(columns: { name: string; label: string }[], rows: Row[]): string {
  const lines = [columns.map((each) => each.label), ...rows.map((row) => columns.map((each) => row[each.name] ?? null))];
  return BOM + lines.map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
}

function cell(value: Json): string {
  const text = typeof value === "string" ? harmless(value) : plain(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A spreadsheet would calculate a text that begins like a formula. */
function harmless(text: string): string {
  return /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
}

export function plain(value: Json): string {
  if (value === null) return "";
  if (Array.isArray(value)) return value.map(plain).join("; ");
  if (typeof value === "object") return plain(value.name ?? value.title ?? value.id ?? JSON.stringify(value));
  return String(value);
}

// Rows as CSV (RFC 4180).

import { type Json, type Row, writeJson } from "../api/json";

const BOM = "\uFEFF"; // spreadsheets read UTF-8 only with it

export function csvOf(columns: { name: string; label: string }[], rows: Row[]): string {
  const lines = [columns.map((each) => each.label), ...rows.map((row) => columns.map((each) => row[each.name] ?? null))];
  return BOM + lines.map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
}

function cell(value: Json): string {
  const text = typeof value === "number" ? String(value) : harmless(plain(value));
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A spreadsheet would calculate a text that begins like a formula (https://owasp.org/www-community/attacks/CSV_Injection). */
function harmless(text: string): string {
  const isNumber = /^-\d+(\.\d+)?$/.test(text);
  return !isNumber && /^\s*[=+\-@＝＋－＠]|^[\t\r\n]/.test(text) ? `'${text}` : text;
}

export function plain(value: Json): string {
  if (value === null) return "";
  if (Array.isArray(value)) return value.map(plain).join("; ");
  if (typeof value === "object") return plain(value.name ?? value.title ?? value.id ?? writeJson(value));
  return String(value);
}

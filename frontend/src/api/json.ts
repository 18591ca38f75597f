// JSON without a loss: an integer beyond 2^53 is a bigint here, because a number of JavaScript would round it.

export type Json = null | boolean | number | bigint | string | Json[] | { [name: string]: Json };
export type Row = { id: string } & Record<string, Json>;

/** Browsers before 2025 do not tell how a number was written. They round. */
interface Source {
  source?: string;
}
const raw = (JSON as { rawJSON?: (text: string) => unknown }).rawJSON ?? String;

/** Throws `SyntaxError` for what is no JSON. */
export function readJson(text: string): Json {
  const mayBeLarge = /\d{16}/.test(text);
  return (mayBeLarge ? JSON.parse(text, exactly as (name: string, value: Json) => Json) : JSON.parse(text)) as Json;
}

export function writeJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, (_, each: unknown) => (typeof each === "bigint" ? raw(String(each)) : each), indent);
}

function exactly(_: string, value: Json, { source }: Source = {}): Json {
  const isExact = typeof value !== "number" || Number.isSafeInteger(value);
  return isExact || source === undefined || !/^-?\d+$/.test(source) ? value : BigInt(source);
}

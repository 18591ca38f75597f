import { describe, expect, it } from "vitest";

import { readJson, type Row, writeJson } from "../api/json";
import { type Field, fieldOf, type Schema } from "./field";
import { draftOf, parse, toLocal } from "./value";

function field(schema: Schema, required = false): Field {
  const hints = { labels: {}, hints: {}, references: {}, suggests: {} };
  return fieldOf("it", schema, required, hints, (each) => each);
}

const nullable = (schema: Schema): Schema => ({ anyOf: [schema, { type: "null" }], default: null });
const value = (of: Field, draft: string | boolean | string[]) => {
  const parsed = parse(of, draft);
  return parsed.ok ? parsed.value : `! ${parsed.message}`;
};

describe("what is written into a field", () => {
  it("is text as it is, and counted in characters", () => {
    const short = field({ type: "string", maxLength: 2 });
    expect(value(short, " a")).toBe(" a");
    expect(value(short, "😀😀")).toBe("😀😀");
    for (const half of ["\ud83d", ["a", "\ude00"]]) expect(value(short, half)).toMatch(/^! It has half a character/);
    expect(value(short, "abc")).toMatch(/^! This may have 2 characters, and has 3/);
  });

  it("is null when it is empty, if there is null", () => {
    expect(value(field(nullable({ type: "integer" })), " ")).toBe(null);
    expect(value(field({ type: "string", default: "" }), "")).toBe("");
    expect(value(field({ type: "string" }, true), " ")).toMatch(/^! This field is required/);
    expect(value(field({ type: "integer", default: 7 }), "")).toBe(7);
  });

  it("is a number within its bounds", () => {
    const count = field({ type: "integer", minimum: 0, maximum: 10 });
    expect(value(count, " 10 ")).toBe(10);
    for (const wrong of ["1.5", "-1", "11", "ten", "1e400"]) expect(value(count, wrong)).toMatch(/^!/);
    expect(value(field({ type: "number" }), "1.5")).toBe(1.5);
    expect(value(field({ type: "number", minimum: 0.25 }), "0.1")).toMatch(/^! Write at least 0.25/);
    for (const wrong of ["0x1F", "Infinity", "1_000", "1,5"]) expect(value(field({ type: "number" }), wrong)).toMatch(/^!/);
  });

  it("is not rounded, however large", () => {
    const large = "9007199254740993";
    const read = readJson(`{"id": 1, "large": ${large}, "text": "${large}", "share": 0.1234567890123456}`) as Row;
    expect([read.id, read.large, read.text, read.share]).toEqual([1, BigInt(large), large, 0.1234567890123456]);
    expect(writeJson(read)).toBe(`{"id":1,"large":${large},"text":"${large}","share":0.1234567890123456}`);
    const count = field({ type: "integer", minimum: 0, maximum: BigInt("9223372036854775807") });
    expect(value(count, draftOf(count, read.large))).toBe(BigInt(large));
    expect(value(count, "9223372036854775808")).toMatch(/^! Write at most 9,223,372,036,854,775,807/);
    const document = field({ type: "object" });
    expect(writeJson(value(document, draftOf(document, { a: [BigInt(large)] })))).toBe(`{"a":[${large}]}`);
  });

  it("is a time in UTC, whatever the zone", () => {
    const at = field({ type: "string", format: "date-time" });
    const draft = draftOf(at, "2026-01-31T09:30:00Z");
    expect(value(at, draft)).toBe("2026-01-31T09:30:00.000Z");
    expect(toLocal("nonsense")).toBe("");
    expect(value(at, "soon")).toMatch(/^!/);
  });

  it("has the type of its choice, and no zone where there is none", () => {
    const size = field({ type: "integer", enum: [1, 2], default: 1 });
    expect([draftOf(size, 2), value(size, "2")]).toEqual(["2", 2]);
    const local = field({ type: "string", format: "date-time-local" });
    expect([value(local, "2026-01-31T09:30"), value(local, "2026-01-31T09:30:05")]).toEqual([
      "2026-01-31T09:30:00",
      "2026-01-31T09:30:05",
    ]);
    expect(field({ anyOf: [{ type: "string", format: "date" }, { type: "integer" }] }).kind).toBe("json");
  });

  it("may be JSON, a list of texts, or yes and no", () => {
    expect(value(field({ type: "object" }), '{"a": 1}')).toEqual({ a: 1 });
    expect(value(field({ type: "object" }), "{")).toMatch(/^!/);
    const words = field({ type: "array", items: { type: "string" }, maxItems: 1 });
    expect(value(words, ["a"])).toEqual(["a"]);
    expect(value(words, ["a", "b"])).toMatch(/^!/);
    expect(value(field(nullable({ type: "boolean" })), "true")).toBe(true);
    expect(draftOf(field(nullable({ type: "boolean" })), null)).toBe("");
    expect(draftOf(field({ type: "boolean" }), null)).toBe(false);
  });
});

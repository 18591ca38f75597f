import { describe, expect, it } from "vitest";

import { addressOf, headersOf } from "./component";

describe("a call of a builder's component", () => {
  it("stays within the API", () => {
    expect(addressOf("/books", undefined)).toBe("/api/v1/books");
    expect(addressOf("/books", { limit: 24, sold: false, q: "a&b" })).toBe("/api/v1/books?limit=24&sold=false&q=a%26b");
    for (const path of ["books", "https://example.org/", ""]) expect(() => addressOf(path, {})).toThrow(TypeError);
    expect(addressOf("//example.org/x", {})).toBe("/api/v1//example.org/x");
  });

  it("has a key for each change, unless it says which, or none", () => {
    const [one, other] = [headersOf("POST", {}), headersOf("POST", {})];
    expect(one["Idempotency-Key"]).toMatch(/^[0-9a-f-]{36}$/);
    expect(other["Idempotency-Key"]).not.toBe(one["Idempotency-Key"]);
    expect(headersOf("PATCH", { key: "same", etag: '"1"' })).toEqual({ "Idempotency-Key": "same", "If-Match": '"1"' });
    expect(headersOf("DELETE", { key: null, etag: null })).toEqual({});
    expect(headersOf("GET", {})).toEqual({});
  });
});

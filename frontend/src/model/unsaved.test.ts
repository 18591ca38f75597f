import { describe, expect, it } from "vitest";

import { sentAgain } from "./unsaved";

describe("what is sent again", () => {
  it("has the same key as long as it has the same text", () => {
    const first = sentAgain({ text: "", key: "" }, "one");
    expect(first.key).toMatch(/^[0-9a-f-]{36}$/);
    expect(sentAgain(first, "one")).toBe(first);
    expect(sentAgain(first, "two").key).not.toBe(first.key);
  });
});

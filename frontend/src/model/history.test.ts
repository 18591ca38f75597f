import { describe, expect, it } from "vitest";

import type { RowChange } from "../../generated/api/types.gen";
import { isBehind, isCut, isTold } from "./history";

function change(kind: RowChange["kind"], version: number | null): RowChange {
  return { kind, version, by: null, at: "2026-11-29T12:00:00Z" };
}

describe("the history of a row", () => {
  it("tells that the row has changed since it was read", () => {
    expect(isBehind([change("changed", 3), change("created", 1)], 2)).toBe(true);
    expect(isBehind([change("changed", 3)], 3)).toBe(false);
    expect(isBehind([change("changed", 2)], 3)).toBe(false); // the person's own change is not in it yet
    expect(isBehind([change("deleted", 3)], 3)).toBe(true);
    expect(isBehind([change("changed", null)], null)).toBe(false);
    expect(isBehind([], 1)).toBe(false);
  });

  it("tells the versions that say something", () => {
    const told = [change("created", 1), change("created", 742_568_319), change("changed", null), change("deleted", 3)].map(isTold);
    expect(told).toEqual([true, false, false, false]);
  });

  it("tells that its beginning is no longer kept, where all that is kept is shown", () => {
    expect(isCut([change("changed", 3), change("changed", 2)], null)).toBe(true);
    expect(isCut([change("changed", 3), change("changed", 2)], "cursor")).toBe(false);
    expect(isCut([change("changed", 2), change("created", 1)], null)).toBe(false);
    expect(isCut([], null)).toBe(false);
  });
});

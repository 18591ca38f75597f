import { describe, expect, it } from "vitest";

import { branchQuery, chunks, ROOTS, unsettled } from "../api/branches";
import type { Row } from "../api/json";
import type { Resource } from "./resource";
import { type Branch, hasTwice, pathTo, sizeOf, stepOf } from "./tree";

const resource = { tree: { member: "boss_id", filter: "boss" } } as unknown as Resource;
const of = { tenant: "acme", resource, sort: "-name", members: ["id", "name"] };

describe("a tree", () => {
  it("asks for the rows below one, or for those that have none above", () => {
    expect(branchQuery(of, { parent: "a", limit: 50 })).toBe("boss=a&limit=50&_fields=id%2Cname&_sort=-name");
    expect(branchQuery({ ...of, sort: "" }, { parent: ROOTS, limit: 50, cursor: "c" })).toBe(
      "has_boss=false&limit=50&_fields=id%2Cname&cursor=c",
    );
  });

  it("looks again for what has rows below, where one has more than a look shows", () => {
    const pages = [{ next: "c" }, { next: null }, { next: "c" }];
    expect(unsettled([["a", "b"], ["c", "d"], ["e"]], pages, new Set(["a", "c", "e"]))).toEqual([["b"]]);
  });

  it("is read in few calls", () => {
    expect(chunks([1, 2, 3, 4, 5], 2)).toEqual([[1, 2], [3, 4], [5]]);
    expect(chunks([], 2)).toEqual([]);
  });

  it("finds the way to a row, however deep, and even round in a circle", async () => {
    const rows = new Map(Array.from({ length: 100 }, (_, level) => [`${level}`, { id: `${level}`, boss_id: level ? `${level - 1}` : null }]));
    const read: string[] = [];
    const rowOf = async (id: string): Promise<Row> => {
      read.push(id);
      return rows.get(id) as Row;
    };
    expect(await pathTo("3", "boss_id", rowOf)).toEqual(["2", "1", "0"]);
    expect(read).toEqual(["3", "2", "1", "0"]);
    expect(await pathTo("99", "boss_id", rowOf)).toHaveLength(99);
    rows.set("0", { id: "0", boss_id: "3" });
    expect(await pathTo("3", "boss_id", rowOf)).toEqual(["2", "1", "0", "3"]);
  });

  it("notices a row that was moved while it is shown", () => {
    const shown = (of: Record<string, string[]>): Map<string, Branch> =>
      new Map(Object.entries(of).map(([id, ids]) => [id, { rows: ids.map((each) => ({ id: each })), next: null }]));
    expect(hasTwice(shown({ "": ["a"], a: ["b"], b: ["c"] }))).toBe(false);
    expect(hasTwice(shown({ "": ["a"], a: ["b"], b: ["a"] }))).toBe(true);
    expect(hasTwice(shown({ "": ["a", "b", "a"] }))).toBe(true);
  });

  it("reads again as many rows as it shows, within what a call may have", () => {
    const branch = (count: number) => ({ rows: Array.from({ length: count }, () => ({ id: "" })), next: null });
    expect([undefined, branch(3), branch(120), branch(900)].map(sizeOf)).toEqual([50, 50, 120, 500]);
  });

  it("is walked by keys, which follow the direction of the language", () => {
    expect(["ArrowRight", "ArrowLeft", "Home", "Enter", "constructor"].map((key) => stepOf(key, false))).toEqual([
      "in", "out", "first", undefined, undefined,
    ]);
    expect(["ArrowRight", "ArrowLeft"].map((key) => stepOf(key, true))).toEqual(["out", "in"]);
  });
});

import { describe, expect, it } from "vitest";

import { apiQuery, type ListState, nextSort, readState, shownView, withCondition, writeState } from "./address";
import type { Json } from "../api/json";
import { csvOf } from "./csv";
import { check, differences, errorsOf } from "./editing";
import { fieldOf } from "./field";
import type { Resource } from "./resource";
import { choicesWith } from "./workspace";

const hints = { labels: {}, hints: {}, references: {}, suggests: {} };
const fields = ["title", "price"].map((name) =>
  fieldOf(name, { type: name === "price" ? "integer" : "string" }, false, hints, (each) => each),
);
const books = {
  columns: ["title"],
  component: "/components/bookshop/page/shelf.js",
  title: "title",
  owner: "owner",
  sorts: ["id", "title"],
  search: true,
  members: new Map([...fields, { ...fields[0]!, name: "owner" }].map((each) => [each.name, each])),
  filterList: [{ name: "price", operators: ["", "min_"] }],
} as unknown as Resource;
const EMPTY: ListState = { view: "", conditions: [], search: "", sort: "", cursor: "", limit: 0, columns: [] };

describe("the address of a list", () => {
  it("has the view, if it is not the usual one", () => {
    const shelved = shownView(books, readState(books, {}));
    expect([shelved, shownView(books, readState(books, { view: "list" }))]).toEqual(["page", "list"]);
    expect(writeState(readState(books, { view: "page" }))).toEqual({});
    const trees = { ...books, tree: { member: "above", filter: "above" } };
    expect(shownView(trees, readState(trees, { view: "tree" }))).toBe("tree");
    expect(shownView(trees, readState(trees, { view: "tree", q: "em" }))).toBe("list"); // what is found is no tree
    expect(writeState(readState(trees, { view: "tree", q: "em" }))).toEqual({ view: "tree", q: "em" });
    const plain = { ...books, component: null };
    expect(shownView(plain, readState(plain, { view: "page" }))).toBe("list");
  });

  it("has all of its state, and nothing else is read from it", () => {
    const state: ListState = {
      view: "list",
      conditions: [{ filter: "price", operator: "min_", value: "5" }],
      search: "em",
      sort: "-title",
      cursor: "c",
      limit: 500,
      columns: ["price"],
    };
    const query = writeState(state);
    expect(query).toEqual({
      ...{ min_price: "5", q: "em", _sort: "-title", cursor: "c", limit: "500", columns: "price", view: "list" },
    });
    expect(readState(books, query as never)).toEqual(state);
    expect(readState(books, { max_price: "1", _sort: "secret", limit: "7", columns: "x,title", color: "red" })).toEqual({
      ...EMPTY,
      columns: ["title"],
    });
  });

  it("becomes the query of the call, with the members that are needed", () => {
    expect(apiQuery(books, EMPTY, { limit: "50" })).toBe("limit=50&_fields=id%2Ctitle%2Cowner");
    expect(apiQuery(books, { ...EMPTY, search: " ", columns: ["price"] }, { _fields: "id" })).toBe("_fields=id");
  });

  it("has each condition once, and turns an order round", () => {
    const one = { filter: "price", operator: "min_" as const, value: "1" };
    expect(withCondition([one], { ...one, value: "2" })).toEqual([{ ...one, value: "2" }]);
    expect(withCondition([one], { ...one, operator: "" })).toHaveLength(2);
    expect([nextSort("", "a"), nextSort("a", "a"), nextSort("-a", "a")]).toEqual(["a", "-a", ""]);
  });
});

describe("CSV", () => {
  it("is quoted, and no formula", () => {
    const rows = [{ id: "1", title: 'say "hi", you', price: -5 }, { id: "2", title: "=1+1", price: null }];
    const columns = [...fields, { name: "owner", label: "Owner" }];
    expect(csvOf(columns, rows)).toBe('\uFEFFTitle,Price,Owner\r\n"say ""hi"", you",-5,\r\n\'=1+1,,\r\n');
    expect(csvOf([{ name: "o", label: "O" }], [{ id: "1", o: { id: "2", name: "Ann" } }])).toContain("Ann");
    const written = (o: Json): string => csvOf([{ name: "o", label: "O" }], [{ id: "1", o }]).split("\r\n")[1] ?? "";
    for (const hostile of ["=1+1", "@SUM(1)", "-1+1", " =1", "＝1", "+49 30"]) expect(written(hostile)).toBe(`'${hostile}`);
    expect(written(["=1+1", "a"])).toBe("'=1+1; a");
    expect(written({ id: "1", name: "-cmd" })).toBe("'-cmd");
    expect([written("-9.90"), written(-5), written(9007199254740993n)]).toEqual(["-9.90", "-5", "9007199254740993"]);
  });
});

describe("a form", () => {
  it("sends what was changed", () => {
    const before = { title: "a", price: "1" };
    expect(check(fields, { title: "a", price: "2" }, before)).toEqual({ body: { price: 2 }, errors: {} });
    expect(check(fields, { title: "b", price: "x" }, null).errors).toHaveProperty("price");
  });

  it("finds the field of a pointer", () => {
    const pointed = [
      { pointer: "/title/0", detail: "One." },
      { pointer: "/title", detail: "Two." },
      { pointer: "", detail: "All." },
    ];
    expect(errorsOf(fields, pointed)).toEqual([{ title: "One." }, ["All."]]);
  });

  it("asks only about what both have changed differently", () => {
    const found = differences(fields, { title: "mine", price: 1 }, { title: "theirs", price: 1 });
    expect(found.map((each) => [each.field.name, each.yours, each.theirs])).toEqual([["title", "mine", "theirs"]]);
  });
});

describe("the switcher", () => {
  it("finds by name and slug, in any order of the words", () => {
    const all = [
      { slug: "acme-eu", name: "Acme Europe" },
      { slug: "globex", name: "Globex" },
    ].map((each) => ({ ...each, roles: [], state: "active" as const }));
    expect(choicesWith(all, "europe acme").map((each) => each.slug)).toEqual(["acme-eu"]);
    expect(choicesWith(all, "-EU")).toHaveLength(1);
    expect(choicesWith(all, "")).toHaveLength(2);
  });

  it("finds without case and accents, and shows first what begins with the words", () => {
    const all = ["Neue Zürcher", "Zurich West", "Straße", "İstanbul", "日本", "Łódź"].map((name, number) => ({
      slug: `w${number}`,
      name,
      roles: [],
      state: "active" as const,
    }));
    const names = (words: string): string[] => choicesWith(all, words).map((each) => each.name);
    expect(names("zur")).toEqual(["Zurich West", "Neue Zürcher"]);
    expect(names("ZÜRCHER neue")).toEqual(["Neue Zürcher"]);
    expect(names("zu\u0308r")).toEqual(["Zurich West", "Neue Zürcher"]);
    expect([names("strasse"), names("istanbul"), names("本")]).toEqual([["Straße"], ["İstanbul"], ["日本"]]);
    expect(names("LODZ")).toEqual(["Łódź"]);
    expect(names("w3")).toEqual(["İstanbul"]);
    expect(names("\u0301 ")).toHaveLength(6);
  });
});

import { describe, expect, it } from "vitest";

import type { Row } from "../api/json";
import { type Document, type Resource, resourcesOf } from "./resource";
import { besides, fileOf, isWithin, shortTitle, wayToAdd, type Within } from "./within";

const id = { type: "string", format: "uuid" };

/** A resource within nodes whose clients write these fields. */
function within(fields: Record<string, object>, files: string[] = []): Within {
  const extension = {
    path: "/api/v1/notes",
    ...{ noun: "note", label: "Notes", icon: "file", order: 1, title: "text", columns: ["text", "node_id", "by"] },
    ...{ labels: {}, hints: {}, suggests: {}, references: { node_id: "nodes" }, files, filters: {}, sorts: ["id"] },
    ...{ search: false, undo: true, component: null, tree: null, owner: null, version: null, history: false },
    within: { member: "node_id", filter: "node_id", resource: "nodes" },
    permissions: { read: "r", create: "r", write: "r", over: null },
  };
  const content = (properties: object) => ({ content: { "application/json": { schema: { properties } } } });
  const document = {
    tags: [{ name: "notes", "x-resource": extension }],
    paths: {
      "/api/v1/notes": { post: { requestBody: content({ node_id: id, ...fields }), responses: {} } },
      "/api/v1/notes/{id}": { get: { responses: { 200: content({ id, node_id: id, text: {}, by: {}, ...fields }) } } },
    },
    components: { schemas: {} },
  };
  return resourcesOf(document as unknown as Document)[0] as Within;
}

describe("rows within another one", () => {
  it("are those of the resources that say so", () => {
    const notes: Resource = within({});
    expect([isWithin(notes, "nodes"), isWithin(notes, "tags"), isWithin({ ...notes, within: null }, "nodes")]).toEqual([true, false, false]);
  });

  it("are written as one text, chosen as files, or made with a form", () => {
    const kindOf = (way: ReturnType<typeof wayToAdd>) => [way.kind, way.kind === "form" ? "" : way.field.kind];
    expect(kindOf(wayToAdd(within({ text: { type: "string", maxLength: 10_000 } })))).toEqual(["text", "multiline"]);
    expect(kindOf(wayToAdd(within({ text: { type: "string", maxLength: 100 } })))).toEqual(["text", "text"]);
    expect(kindOf(wayToAdd(within({ file_id: id }, ["file_id"])))).toEqual(["file", "file"]);
    expect(kindOf(wayToAdd(within({ text: { type: "string" }, amount: { type: "integer" } })))).toEqual(["form", ""]);
    expect(kindOf(wayToAdd(within({ amount: { type: "integer" } })))).toEqual(["form", ""]);
  });

  it("are shown with what is not their title, nor the row that they are within", () => {
    const notes = within({ file_id: id }, ["file_id"]);
    expect([besides(notes).map(({ name }) => name), fileOf(notes)?.name, fileOf(within({}))]).toEqual([["by"], "file_id", undefined]);
  });

  it("have titles that a button can say", () => {
    const title = (text: string) => shortTitle(within({}), { id: "1", text } as Row);
    expect(shortTitle({ ...within({}), title: "id" }, { id: "1" } as Row)).toBe("note");
    expect([title("a\n b"), title("👩".repeat(61))]).toEqual(["a b", `${"👩".repeat(60)}…`]);
  });
});

import { describe, expect, it } from "vitest";

import { choiceLabel, PEOPLE } from "./field";
import { type Document, mayChange, ownerOf, resourcesOf, titleOf } from "./resource";

const text = { type: "string" };
const nothing = { responses: {} };
const DOCUMENT: Document = {
  tags: [
    { name: "account" },
    {
      name: "books",
      description: "A title.",
      "x-resource": {
        path: "/api/v1/books",
        noun: "book",
        label: "Books",
        icon: "book",
        order: 100,
        columns: ["title"],
        title: "title",
        labels: { price_cents: "Price" },
        hints: { notes: "markdown" },
        suggests: {},
        references: { shelf_id: "shelves" },
        filters: { price: ["", "min_"], shelf: [""] },
        sorts: ["id"],
        search: false,
        undo: true,
        component: null,
        tree: null,
        owner: "owner",
        version: "version",
  history: true,
        permissions: { read: "r", create: "c", write: "w", over: "o" },
      },
    },
  ],
  paths: {
    "/api/v1/books": {
      get: {
        parameters: [
          { name: "price", schema: { type: "integer" } },
          { name: "shelf", schema: { anyOf: [{ type: "string", format: "uuid" }, { type: "string", const: "none" }] } },
          { $ref: "#/components/parameters/XTenant" },
        ],
        responses: {},
      },
      post: {
        requestBody: { content: { "application/json": { schema: { $ref: "#/components/schemas/BookIn" } } } },
        responses: {},
      },
    },
    "/api/v1/books/{id}": {
      get: {
        responses: { "200": { content: { "application/json": { schema: { $ref: "#/components/schemas/Book" } } } } },
      },
      patch: nothing,
    },
  },
  components: {
    schemas: {
      Book: { properties: { id: text, title: text, owner: { type: "object" }, notes: text, seller_id: { type: "string", format: "uuid" } } },
      Size: { type: "string", enum: ["small", "large"] },
      BookIn: {
        required: ["title", "price_cents"],
        properties: {
          title: { type: "string", maxLength: 5 },
          price_cents: { type: "integer", minimum: 0 },
          notes: { type: "string", default: "" },
          shelf_id: { anyOf: [{ type: "string", format: "uuid" }, { type: "null" }], default: null },
          size: { anyOf: [{ $ref: "#/components/schemas/Size" }, { type: "null" }] },
          weight: { anyOf: [{ type: "string", format: "decimal" }, { type: "integer" }] },
          active: { type: "boolean", default: true },
          sold_on: { type: "string", format: "date" },
          sold_at: { type: "string", format: "date-time" },
          words: { type: "array", items: text },
          other: { type: "object" },
        },
      },
    },
  },
};

describe("the resources of a document", () => {
  const [books, ...others] = resourcesOf(DOCUMENT);
  if (!books) throw new Error("no books");
  const fields = Object.fromEntries(books.fields.map((each) => [each.name, each]));

  it("are the tags that say so", () => {
    expect(others).toEqual([]);
    expect(books.name).toBe("books");
    expect([...books.members.keys()]).toEqual(["id", "title", "owner", "notes", "seller_id"]);
    expect(books.members.get("seller_id")?.reference).toBe(PEOPLE); // there is no resource for it
    expect(books.can).toEqual({ create: true, change: true, remove: false });
  });

  it("have a kind of control for each type", () => {
    expect(books.fields.map((each) => each.kind)).toEqual([
      ...["text", "integer", "markdown", "reference", "choice", "text", "boolean", "date", "datetime", "texts", "json"],
    ]);
    expect(fields.size?.choices).toEqual(["small", "large"]);
    expect(fields.size?.nullable).toBe(true);
    expect(fields.shelf_id?.reference).toBe("shelves");
  });

  it("know what is needed, and the values of a new row", () => {
    expect([fields.title?.required, fields.notes?.required]).toEqual([true, false]);
    expect([fields.title?.initial, fields.notes?.initial, fields.active?.initial]).toEqual([null, "", true]);
    expect([fields.shelf_id?.label, fields.price_cents?.label]).toEqual(["Shelf", "Price"]);
  });

  it("have the words of the person's language, as far as there are some", () => {
    const [, tag] = DOCUMENT.tags;
    const translations = { de: { label: "Bücher", labels: { price_cents: "Preis" }, choices: { size: { small: "klein" } } } };
    const document = { ...DOCUMENT, tags: [{ ...tag!, "x-resource": { ...tag!["x-resource"]!, translations } }] };
    const [german] = resourcesOf(document, "de");
    const size = german!.fields.find((each) => each.name === "size")!;
    expect([german!.label, german!.noun]).toEqual(["Bücher", "book"]);
    expect(german!.fields.find((each) => each.name === "price_cents")?.label).toBe("Preis");
    expect([choiceLabel(size, "small"), choiceLabel(size, "large")]).toEqual(["klein", "large"]);
    expect(resourcesOf(document, "fr")[0]?.label).toBe("Books");
  });

  it("have filters with their operators and words", () => {
    expect(books.filterList.map((each) => [each.name, each.operators, each.field.kind, each.words])).toEqual([
      ["price", ["", "min_"], "integer", []],
      ["shelf", [""], "text", ["none"]],
    ]);
  });

  it("let people change their own rows, and some those of others", () => {
    const row = { id: "12345678-9", title: "", owner: { id: "ann" } };
    expect(ownerOf(books, row)).toBe("ann");
    expect(ownerOf({ ...books, owner: "owner_id" }, { id: "1", owner_id: "ben" })).toBe("ben");
    expect(mayChange(books, row, ["w"], "ann")).toBe(true);
    expect(mayChange(books, row, ["w"], "ben")).toBe(false);
    expect(mayChange(books, row, ["w", "o"], "ben")).toBe(true);
    expect(mayChange(books, row, ["o"], "ann")).toBe(false);
    expect(titleOf(books, row)).toBe("12345678");
    for (const unseen of [" \u200d", "\u3164\u115f", "\u2800", "\ufeff"]) {
      expect(titleOf(books, { ...row, title: unseen })).toBe("12345678");
    }
    expect(titleOf(books, { ...row, title: "٠" })).toBe("٠");
  });
});

import { expect, it } from "vitest";

import { fromApi, toApi } from "./ids";

const INVOICES = { numbered: ["id", "customer_id"] };

it("has ids that are whole numbers as texts, and sends them as numbers", () => {
  const row = { id: 7, customer_id: 2n ** 60n, total: 5 };
  const read = fromApi(INVOICES, row);
  expect(read).toEqual({ id: "7", customer_id: "1152921504606846976", total: 5 });
  expect(toApi(INVOICES, read)).toEqual(row);
});

it("leaves alone what is no number, what is not there, and other resources", () => {
  expect(fromApi(INVOICES, { customer_id: null })).toEqual({ customer_id: null });
  expect(toApi(INVOICES, { customer_id: null, total: 5 })).toEqual({ customer_id: null, total: 5 });
  expect(toApi(INVOICES, { customer_id: "" })).toEqual({ customer_id: "" });
  const node = { id: "0190", parent_id: "0191" };
  expect(fromApi({ numbered: [] }, node)).toBe(node);
});

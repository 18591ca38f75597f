// The call that lists the rows within another one.

import type { Within } from "../model/within";
import { call } from "./http";
import { type At, pageOf, type RowPage } from "./rows";

const PAGE = 20;

/** A page of the rows within the row with this id, the newest first if the resource can sort so. */
export async function readWithin(at: At & { resource: Within }, id: string, cursor: string, signal: AbortSignal): Promise<RowPage> {
  const { path, sorts, within } = at.resource;
  const query = new URLSearchParams({ [within.filter]: id, limit: String(PAGE) });
  if (sorts.includes("id")) query.set("_sort", "-id");
  if (cursor) query.set("cursor", cursor);
  return pageOf(at, (await call<RowPage>("GET", `${path}?${query}`, { tenant: at.tenant, signal })).data);
}

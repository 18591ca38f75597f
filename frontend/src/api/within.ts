// The calls about the rows within others.

import type { Within } from "../model/within";
import { call } from "./http";
import { type At, pageOf, type RowPage } from "./rows";

const PAGE = 20;
/** Ids in one filter. */
const IDS = 50;

/** A page of the rows within the row with this id, the newest first if the resource can sort so. */
export async function readWithin(at: At & { resource: Within }, id: string, cursor: string, signal: AbortSignal): Promise<RowPage> {
  const { path, sorts, within } = at.resource;
  const query = new URLSearchParams({ [within.filter]: id, limit: String(PAGE) });
  if (sorts.includes("id")) query.set("_sort", "-id");
  if (cursor) query.set("cursor", cursor);
  return pageOf(at, (await call<RowPage>("GET", `${path}?${query}`, { tenant: at.tenant, signal })).data);
}

/** Whether any of these rows has rows of these resources within it. They go with it, and do not come back with it. */
export async function holdAny(tenant: string, inner: Within[], ids: string[]): Promise<boolean> {
  for (const resource of inner)
    for (let from = 0; from < ids.length; from += IDS) {
      const some = ids.slice(from, from + IDS).join(",");
      const query = new URLSearchParams({ [`in_${resource.within.filter}`]: some, limit: "1", _fields: "id" });
      if ((await call<RowPage>("GET", `${resource.path}?${query}`, { tenant })).data.items.length > 0) return true;
    }
  return false;
}

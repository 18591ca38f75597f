// The calls about the rows of a resource in a tenant.

import type { RowChanges } from "../../generated/api/types.gen";
import { apiQuery, LIMITS, type ListState } from "../model/address";
import type { Resource } from "../model/resource";
import { call, PREFIX } from "./http";
import { fromApi, toApi } from "./ids";
import type { Json, Row } from "./json";

const MOST = 500;
const CHANGES = 20;
const MOST_PARTS = 100;
const SUGGESTED = 20;
const LOOKED_THROUGH = 5_000; // rows of a resource without a search

/** The path of a row. The id is from the address of the page, and may be written so that it leads elsewhere. */
export function pathOf(at: At, id: string): string {
  return `${at.resource.path}/${/^\.{1,2}$/.test(id) ? "-" : encodeURIComponent(id)}`;
}

export interface Versioned {
  row: Row;
  etag: string | null;
}

export interface RowPage {
  items: Row[];
  next: string | null;
}

interface Counted {
  count: { rows: number; exact: boolean } | null;
}

export interface At {
  tenant: string;
  resource: Resource;
}

export async function readPage(at: At, state: ListState, signal: AbortSignal): Promise<RowPage> {
  const query = apiQuery(at.resource, state, { limit: String(state.limit || LIMITS[0]) });
  return pageOf(at, (await call<RowPage>("GET", `${at.resource.path}?${query}`, { tenant: at.tenant, signal })).data);
}

/** A page as it was read. */
export function pageOf({ resource }: Pick<At, "resource">, { items, next }: RowPage): RowPage {
  return { items: items.map((row) => fromApi(resource, row)), next };
}

/** How many rows the list has. Asked apart, because counting may take longer than a page. */
export async function countRows(at: At, state: ListState, signal: AbortSignal): Promise<Counted["count"]> {
  const query = apiQuery(at.resource, { ...state, cursor: "" }, { limit: "1", _fields: "id", _count: "estimated" });
  return (await call<Counted>("GET", `${at.resource.path}?${query}`, { tenant: at.tenant, signal })).data.count;
}

/** Yield the pages of the whole list, with these members. */
export async function* readAll(at: At, state: ListState, members: string[]): AsyncGenerator<Row[]> {
  let cursor = "";
  do {
    const more = { limit: String(MOST), _fields: [...new Set(["id", ...members])].join(",") };
    const query = apiQuery(at.resource, { ...state, cursor }, more);
    const { data } = await call<RowPage>("GET", `${at.resource.path}?${query}`, { tenant: at.tenant });
    yield pageOf(at, data).items;
    cursor = data.next ?? "";
  } while (cursor);
}

export async function readRow(at: At, id: string): Promise<Versioned> {
  const read = await call<Row>("GET", pathOf(at, id), { tenant: at.tenant });
  return { row: fromApi(at.resource, read.data), etag: read.etag };
}

/** The changes of a row, the newest first, also of one that is deleted. */
export async function readChanges(at: At, id: string, cursor: string, signal: AbortSignal): Promise<RowChanges> {
  const query = new URLSearchParams({ limit: String(CHANGES), ...(cursor ? { cursor } : {}) });
  const path = `${pathOf(at, id)}/changes?${query}`;
  return (await call<RowChanges>("GET", path, { tenant: at.tenant, signal })).data;
}

/** Add a row. The same key sends the same change again, and it is made once. */
export async function createRow(at: At, body: Record<string, Json>, key: string): Promise<Versioned> {
  const made = await call<Row>("POST", at.resource.path, {
    tenant: at.tenant,
    body: toApi(at.resource, body),
    headers: { "Idempotency-Key": key },
  });
  return { row: fromApi(at.resource, made.data), etag: made.etag };
}

export async function changeRow(
  at: At,
  id: string,
  body: Record<string, Json>,
  etag: string | null,
  key: string,
): Promise<Versioned> {
  const headers = { "Idempotency-Key": key, ...ifMatch(etag) };
  const sent = toApi(at.resource, body);
  const made = await call<Row>("PATCH", pathOf(at, id), { tenant: at.tenant, body: sent, headers });
  return { row: fromApi(at.resource, made.data), etag: made.etag };
}

export async function deleteRow(at: At, id: string, etag: string | null, key: string): Promise<void> {
  const headers = { "Idempotency-Key": key, ...ifMatch(etag) };
  await call("DELETE", pathOf(at, id), { tenant: at.tenant, headers });
}

/** Put a deleted row back, under the id that it had. */
export async function restoreRow(at: At, id: string, body: Record<string, Json>, key: string): Promise<void> {
  const headers = { "If-None-Match": "*", "Idempotency-Key": key };
  await call("PUT", pathOf(at, id), { tenant: at.tenant, body: toApi(at.resource, body), headers });
}

/** Read several rows by their ids. Those that are gone are left out. */
export async function readRows(at: At, ids: string[]): Promise<Row[]> {
  const found: Row[] = [];
  for (let start = 0; start < ids.length; start += MOST_PARTS) {
    found.push(...(await readSome(at, ids.slice(start, start + MOST_PARTS))));
  }
  return found;
}

async function readSome(at: At, ids: string[]): Promise<Row[]> {
  const requests = ids.map((id) => ({ method: "GET", path: pathOf(at, id).replace(PREFIX, "") }));
  try {
    const read = await call<{ responses: { body: Row }[] }>("POST", `${PREFIX}/batch`, {
      tenant: at.tenant,
      body: { requests },
    });
    return read.data.responses.map((each) => fromApi(at.resource, each.body));
  } catch {
    // One that is gone fails the whole batch.
    const each = await Promise.allSettled(ids.map((id) => readRow(at, id)));
    return each.flatMap((done) => (done.status === "fulfilled" ? [done.value.row] : []));
  }
}

/** Rows for a completion: those that have the words, or the first ones. */
export async function suggestRows(at: At, words: string, signal: AbortSignal, most = SUGGESTED): Promise<Row[]> {
  const { resource, tenant } = at;
  const query = new URLSearchParams({ limit: String(resource.search ? most : MOST), _fields: `id,${resource.title}` });
  if (resource.title === "id") query.set("_fields", "id");
  if (resource.search && words.trim() !== "") query.set("q", words);
  const wanted = resource.search ? "" : words.trim().toLocaleLowerCase();
  const found: Row[] = [];
  for (let looked = 0; looked < LOOKED_THROUGH; ) {
    const { data } = await call<RowPage>("GET", `${resource.path}?${query}`, { tenant, signal });
    looked += data.items.length;
    found.push(...pageOf(at, data).items.filter((row) => String(row[resource.title]).toLocaleLowerCase().includes(wanted)));
    if (data.next === null || found.length >= most) break;
    query.set("cursor", data.next);
  }
  return found.slice(0, most);
}

function ifMatch(etag: string | null): Record<string, string> {
  return etag === null ? {} : { "If-Match": etag };
}

// The calls of a tree: rows by the row above them, and which rows have others below.

import type { Resource } from "../model/resource";
import { call, PREFIX } from "./http";
import { Problem } from "./problem";
import { pageOf, type RowPage } from "./rows";

export const ROOTS = ""; // in the place of the id of a row above
const MOST_IDS = 50; // of one `in_`
const MOST_PARTS = 100;
const CHILDREN = 200; // rows that one look at what has others below reads
const LOOKS = 3;

export interface Branches {
  tenant: string;
  resource: Resource;
  sort: string;
  /** The members of each row. */
  members: string[];
  signal?: AbortSignal | undefined;
}

export interface Asked {
  parent: string;
  limit: number;
  cursor?: string | undefined;
}

/** Read the rows below others: one page of each. */
export function readBranches(of: Branches, asked: Asked[]): Promise<RowPage[]> {
  return readLists(of, asked.map((each) => branchQuery(of, each)));
}

export function branchQuery({ resource, sort, members }: Branches, { parent, limit, cursor }: Asked): string {
  const filter = resource.tree?.filter ?? "";
  const query = new URLSearchParams(parent === ROOTS ? { [`has_${filter}`]: "false" } : { [filter]: parent });
  query.set("limit", String(limit));
  query.set("_fields", members.join(","));
  if (sort) query.set("_sort", sort);
  if (cursor) query.set("cursor", cursor);
  return query.toString();
}

/** Return those that have rows below them, and those of which some looks do not tell. */
export async function haveChildren(of: Branches, ids: string[]): Promise<Set<string>> {
  const { filter, member } = of.resource.tree ?? { filter: "", member: "" };
  const found = new Set<string>();
  let left = chunks(ids, MOST_IDS);
  for (let look = 0; look < LOOKS && left.length > 0; look += 1) {
    const query = { _fields: `id,${member}`, limit: String(CHILDREN) };
    const asked = left.map((some) => new URLSearchParams({ [`in_${filter}`]: some.join(","), ...query }).toString());
    const pages = await readLists(of, asked);
    for (const { items } of pages) for (const row of items) found.add(String(row[member]));
    left = unsettled(left, pages, found);
  }
  for (const id of left.flat()) found.add(id);
  return found;
}

/** The ids to look at again: where one row has very many below it, nothing is known of the others yet. */
export function unsettled(asked: string[][], pages: Pick<RowPage, "next">[], found: ReadonlySet<string>): string[][] {
  const open = asked.filter((_, index) => pages[index]?.next).map((some) => some.filter((id) => !found.has(id)));
  return open.filter((some) => some.length > 0);
}

/** Several lists in few calls. */
async function readLists(of: Branches, queries: string[]): Promise<RowPage[]> {
  const found: RowPage[] = [];
  for (const some of chunks(queries, MOST_PARTS)) found.push(...(await readSome(of, some)));
  return found;
}

/** What is too much for one answer is asked for in halves. */
async function readSome(of: Branches, queries: string[]): Promise<RowPage[]> {
  const { tenant, resource, signal } = of;
  if (queries.length === 1) {
    return [pageOf(of, (await call<RowPage>("GET", `${resource.path}?${queries[0]}`, { tenant, signal })).data)];
  }
  const path = resource.path.replace(PREFIX, "");
  const body = { requests: queries.map((query) => ({ method: "GET", path: `${path}?${query}` })) };
  try {
    const read = await call<{ responses: { body: RowPage }[] }>("POST", `${PREFIX}/batch`, { tenant, body, signal });
    return read.data.responses.map((each) => pageOf(of, each.body));
  } catch (error) {
    if (!(error instanceof Problem && error.code === "batch_too_large")) throw error;
    const [some = [], others = []] = chunks(queries, Math.ceil(queries.length / 2));
    return [...(await readSome(of, some)), ...(await readSome(of, others))];
  }
}

export function chunks<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, index) => all.slice(index * size, (index + 1) * size));
}

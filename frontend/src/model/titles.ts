// The titles of rows that others refer to by their ids, and the names of people. Read together, and kept while the
// workspace is shown.

import { reactive } from "vue";

import type { Row } from "../api/json";
import { readFiles } from "../api/files";
import { readPeople } from "../api/people";
import { readRows } from "../api/rows";
import { type Field, FILES, PEOPLE } from "./field";
import { titleOf } from "./resource";
import type { Workspace } from "./workspace";

const titles = reactive(new Map<string, string>());
const asked = new Set<string>();

function keyOf(workspace: Workspace, resource: string, id: string): string {
  return `${workspace.slug}/${resource}/${id}`;
}

export function titleOfId(workspace: Workspace, resource: string, id: string): string {
  return titles.get(keyOf(workspace, resource, id)) ?? id.slice(0, 8);
}

export function knowTitle(workspace: Workspace, resource: string, id: string, title: string): void {
  titles.set(keyOf(workspace, resource, id), title);
}

/** Read the titles that are not known yet. If that fails, the ids are shown. */
export async function readTitles(workspace: Workspace, name: string, ids: string[]): Promise<void> {
  const missing = [...new Set(ids)].filter((id) => !asked.has(keyOf(workspace, name, id)));
  if (missing.length === 0) return;
  for (const id of missing) asked.add(keyOf(workspace, name, id));
  for (const [id, title] of await titlesOf(workspace, name, missing)) knowTitle(workspace, name, id, title);
}

async function titlesOf(workspace: Workspace, name: string, ids: string[]): Promise<[string, string][]> {
  const { slug: tenant, resources } = workspace;
  if (name === PEOPLE) return (await readPeople(tenant, ids)).map((each) => [each.id, each.name]);
  if (name === FILES) return (await readFiles(tenant, ids)).map((each) => [each.id, each.name]);
  const resource = resources.find((each) => each.name === name);
  return resource ? (await readRows({ tenant, resource }, ids)).map((row) => [row.id, titleOf(resource, row)]) : [];
}

/** Read the titles of all that these fields of some rows refer to. */
export function readReferences(workspace: Workspace, fields: readonly Field[], rows: readonly Omit<Row, "id">[]): void {
  for (const { name, reference } of fields) {
    if (reference === undefined) continue;
    const ids = rows.map((row) => row[name]).filter((id): id is string => typeof id === "string");
    readTitles(workspace, reference, ids).catch(() => undefined);
  }
}

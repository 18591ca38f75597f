// The titles of rows that others refer to by their ids. Read together, and kept while the workspace is shown.

import { reactive } from "vue";

import { readRows } from "../api/rows";
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
  const resource = workspace.resources.find((each) => each.name === name);
  const missing = [...new Set(ids)].filter((id) => !asked.has(keyOf(workspace, name, id)));
  if (!resource || missing.length === 0) return;
  for (const id of missing) asked.add(keyOf(workspace, name, id));
  const rows = await readRows({ tenant: workspace.slug, resource }, missing);
  for (const row of rows) knowTitle(workspace, name, row.id, titleOf(resource, row));
}

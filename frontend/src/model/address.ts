// What a list shows is in its address, so that Back works and an address can be shared. Filters have the names that the
// API gives them.

import type { LocationQuery, LocationQueryRaw } from "vue-router";

import type { Operator, Resource } from "./resource";

export interface Condition {
  filter: string;
  operator: Operator;
  value: string;
}

/** How the rows are shown: as a table, as a tree, or by a builder's own component. */
export type View = "list" | "tree" | "page";

export interface ListState {
  /** The chosen view; "" is the first one of the resource. */
  view: View | "";
  conditions: Condition[];
  search: string;
  sort: string;
  cursor: string;
  /** Rows on a page; 0 is as many as the browser remembers. */
  limit: number;
  /** The chosen columns; none are those that the resource declares. */
  columns: string[];
}

/** How many rows a page may have. The API takes 500 at most. */
export const LIMITS = [50, 100, 500] as const;
const OWN = { view: "view", search: "q", sort: "_sort", cursor: "cursor", limit: "limit", columns: "columns" } as const;

export function readState(resource: Resource, query: LocationQuery): ListState {
  const text = (name: string): string => {
    const value = query[name];
    return (Array.isArray(value) ? value[0] : value) ?? "";
  };
  const conditions = resource.filterList.flatMap((filter) =>
    filter.operators.flatMap((operator) => {
      const value = text(operator + filter.name);
      return value === "" ? [] : [{ filter: filter.name, operator, value }];
    }),
  );
  const sort = text(OWN.sort);
  return {
    view: viewsOf(resource).slice(1).find((each) => each === text(OWN.view)) ?? "",
    conditions,
    search: resource.search ? text(OWN.search) : "",
    sort: resource.sorts.includes(sort.replace(/^-/, "")) ? sort : "",
    cursor: text(OWN.cursor),
    limit: LIMITS.find((each) => String(each) === text(OWN.limit)) ?? 0,
    columns: text(OWN.columns).split(",").filter((name) => resource.members.has(name)),
  };
}

export function writeState(state: ListState): LocationQueryRaw {
  const query: LocationQueryRaw = {};
  for (const each of state.conditions) query[each.operator + each.filter] = each.value;
  for (const name of ["search", "sort", "cursor", "view"] as const) if (state[name]) query[OWN[name]] = state[name];
  if (state.limit > 0) query[OWN.limit] = String(state.limit);
  if (state.columns.length > 0) query[OWN.columns] = state.columns.join(",");
  return query;
}

/** The views that a resource offers, the usual one first. */
export function viewsOf(resource: Resource): View[] {
  return [...(resource.component ? (["page"] as const) : []), "list", ...(resource.tree ? (["tree"] as const) : [])];
}

export function isFiltered(state: ListState): boolean {
  return state.conditions.length > 0 || state.search.trim() !== "";
}

/** What filters and a search find is no tree, and is shown as a list until they are gone. */
export function shownView(resource: Resource, state: ListState): View {
  const view = state.view || viewsOf(resource)[0] || "list";
  return view === "tree" && isFiltered(state) ? "list" : view;
}

/** The query string of the list's call. */
export function apiQuery(resource: Resource, state: ListState, more: Record<string, string>): string {
  const query = new URLSearchParams(more);
  for (const each of state.conditions) query.set(each.operator + each.filter, each.value);
  if (state.search.trim() !== "") query.set("q", state.search);
  if (state.sort) query.set("_sort", state.sort);
  if (state.cursor) query.set("cursor", state.cursor);
  if (!query.has("_fields")) query.set("_fields", listMembers(resource, state).join(","));
  return query.toString();
}

export function shownColumns(resource: Resource, state: ListState): string[] {
  return state.columns.length > 0 ? state.columns : resource.columns;
}

/** The members that a list needs: those of its columns, and what names a row, and says whose and which version it is. */
export function listMembers(resource: Resource, state: ListState): string[] {
  const columns = shownColumns(resource, state);
  const needed = ["id", resource.title, ...columns, resource.owner, resource.version];
  return [...new Set(needed.filter((name) => name !== null && name !== undefined))];
}

/** Put a condition in the place of the one with the same filter and operator. */
export function withCondition(conditions: Condition[], added: Condition): Condition[] {
  const others = conditions.filter((each) => each.filter !== added.filter || each.operator !== added.operator);
  return [...others, added];
}

/** The order after a click on a column's head: ascending, descending, none. */
export function nextSort(present: string, name: string): string {
  if (present === name) return `-${name}`;
  return present === `-${name}` ? "" : name;
}

// What operators do with a tenant: which actions there are in which state, what each asks for, and which call it makes.

import type { Backup, FleetOperation, FleetTenant } from "../../api/fleet";
import * as fleet from "../../api/fleet";
import type { Json } from "../../api/json";
import { bytesOf, connectionsOf, typedBytes } from "./quotas";

export const ACTIONS = [
  "appoint", "suspend", "resume", "rename", "limit", "backUp", "clone", "expire", "move", "migrate", "restore", "restoreAs",
  "delete", "undelete", "purge",
] as const;
export type Action = (typeof ACTIONS)[number];

export type FieldName = keyof Given;

interface Kind {
  states: readonly FleetTenant["state"][];
  fields: readonly FieldName[];
  /** The slug must be typed before it is done. */
  dangerous?: true;
  /** It is for a tenant that has no administrator. */
  forNobodys?: true;
  /** It is for a branch, which expires. */
  forBranches?: true;
  /** It needs a backup, so it is offered beside each backup. */
  ofBackup?: true;
}

const SERVED = ["active", "suspended"] as const;
const MADE = ["active", "suspended", "deleted"] as const;

export const KINDS: Record<Action, Kind> = {
  appoint: { states: SERVED, fields: ["administrator"], forNobodys: true },
  suspend: { states: ["active"], fields: ["reason"] },
  resume: { states: ["suspended"], fields: [] },
  rename: { states: SERVED, fields: ["slug", "name"] },
  limit: { states: SERVED, fields: ["storage", "connections"] },
  backUp: { states: MADE, fields: [] },
  clone: { states: SERVED, fields: ["slug", "name", "server", "days", "withoutPeople"] },
  expire: { states: SERVED, fields: ["days"], forBranches: true },
  move: { states: SERVED, fields: ["server"], dangerous: true },
  migrate: { states: SERVED, fields: [] },
  restore: { states: SERVED, fields: [], dangerous: true, ofBackup: true },
  restoreAs: { states: MADE, fields: ["slug", "name"], ofBackup: true },
  delete: { states: SERVED, fields: [], dangerous: true },
  undelete: { states: ["deleted"], fields: [] },
  purge: { states: ["deleted"], fields: ["withoutCopy"], dangerous: true },
};

/** The actions on the tenant itself, or on one of its backups. */
export function actionsIn(tenant: Pick<FleetTenant, "state" | "has_administrator" | "expires_at">, ofBackup = false): Action[] {
  return ACTIONS.filter((each) => {
    const kind = KINDS[each];
    if (kind.forNobodys && tenant.has_administrator) return false;
    if (kind.forBranches && tenant.expires_at === null) return false;
    return kind.states.includes(tenant.state) && (kind.ofBackup ?? false) === ofBackup;
  });
}

export interface Given {
  reason: string;
  slug: string;
  name: string;
  database: string;
  revision: string;
  server: string;
  administrator: string;
  days: string;
  storage: string;
  connections: string;
  withoutPeople: boolean;
  withoutCopy: boolean;
}

/** What the fields of an action begin with. */
export function beginWith(action: Action, tenant: FleetTenant): Given {
  const { slug, name, storage_quota: bytes, connection_quota: connections } = tenant;
  if (action === "rename") return { ...nothing(), slug, name };
  if (action !== "limit") return nothing();
  return { ...nothing(), storage: bytes === null ? "" : typedBytes(bytes), connections: String(connections ?? "") };
}

export function nothing(): Given {
  return {
    reason: "",
    slug: "",
    name: "",
    database: "",
    revision: "",
    server: "",
    administrator: "",
    days: "",
    storage: "",
    connections: "",
    withoutPeople: false,
    withoutCopy: false,
  };
}

/** The fields that must be filled in. */
export function needed(action: Action): FieldName[] {
  return KINDS[action].fields.filter(
    (field) =>
      field === "reason" ||
      field === "slug" ||
      field === "administrator" ||
      (field === "name" && action === "rename") ||
      (field === "server" && action === "move"),
  );
}

export function missing(fields: readonly FieldName[], given: Given): FieldName[] {
  return fields.filter((field) => String(given[field]).trim() === "");
}

const DAY = 86_400; // seconds
const MOST_DAYS = 365;

/** Whether the days after which a branch expires are a number, or nothing. */
export function areDays(text: string): boolean {
  return text.trim() === "" || (/^[0-9]{1,3}$/.test(text.trim()) && Number(text) >= 1 && Number(text) <= MOST_DAYS);
}

function secondsOf(days: string): number | null {
  return days.trim() === "" ? null : Number(days) * DAY;
}

/** What an action has done: a tenant has changed, or work has begun. */
export type Done = { tenant: FleetTenant } | { operation: FleetOperation };

export async function act(action: Action, tenant: FleetTenant, given: Given, backup?: Backup): Promise<Done> {
  const { slug } = tenant;
  switch (action) {
    case "appoint":
      return { tenant: await fleet.appointAdministrator(slug, { administrator: given.administrator.trim() }) };
    case "suspend":
      return { tenant: await fleet.changeTenant(slug, { suspended: true, reason: given.reason }) };
    case "resume":
      return { tenant: await fleet.changeTenant(slug, { suspended: false }) };
    case "rename":
      return { tenant: await fleet.changeTenant(slug, changes(tenant, given)) };
    case "limit":
      return { tenant: await fleet.changeTenant(slug, limits(tenant, given)) };
    case "delete":
      return { tenant: await fleet.deleteTenant(slug) };
    case "undelete":
      return { tenant: await fleet.undeleteTenant(slug) };
    case "backUp":
      return { operation: await fleet.backUpTenant(slug) };
    case "clone":
      return { operation: await fleet.cloneTenant(slug, cloned(given)) };
    case "expire":
      return { tenant: await fleet.changeTenant(slug, { expires_in: secondsOf(given.days) }) };
    case "move":
      return { operation: await fleet.moveTenant(slug, { server: given.server }) };
    case "migrate":
      return { operation: await fleet.migrateTenant(slug, {}) };
    case "restore":
      return { operation: await fleet.restoreTenant(slug, { backup: backup?.id ?? null }) };
    case "restoreAs":
      return { operation: await fleet.restoreTenant(slug, restored(given, backup)) };
    case "purge":
      return { operation: await fleet.purgeTenant(slug, { without_copy: given.withoutCopy }) };
  }
}

/** The ways to a new tenant that need no other tenant. */
export type NewKind = "create" | "adopt";

interface New {
  fields: readonly FieldName[];
  needed: readonly FieldName[];
  make: (given: Given) => Promise<FleetOperation>;
}

export const NEW: Record<NewKind, New> = {
  create: {
    fields: ["slug", "name", "administrator", "server"],
    needed: ["slug"],
    make: (given) => fleet.createTenant(made(given)),
  },
  adopt: {
    fields: ["slug", "database", "name", "administrator", "revision", "server"],
    needed: ["slug", "database"],
    make: (given) => fleet.adoptDatabase(adopted(given)),
  },
};

function adopted({ database, revision, ...given }: Given): Record<string, Json> {
  return { ...made(given), database, ...(revision.trim() && { revision: revision.trim() }) };
}

function made({ administrator, ...given }: Omit<Given, "database" | "revision">): Record<string, Json> {
  return { ...copyOf(given), ...(administrator.trim() && { administrator: administrator.trim() }) };
}

function changes(tenant: FleetTenant, given: Given): { slug?: string; name?: string } {
  return {
    ...(given.slug === tenant.slug ? {} : { slug: given.slug }),
    ...(given.name === tenant.name ? {} : { name: given.name }),
  };
}

/** The quotas that are others than before. An empty field leaves a quota to the settings. */
export function limits(
  tenant: Pick<FleetTenant, "storage_quota" | "connection_quota">,
  given: Pick<Given, "storage" | "connections">,
): { storage_quota?: number | null; connection_quota?: number | null } {
  const bytes = bytesOf(given.storage) ?? null;
  const connections = connectionsOf(given.connections) ?? null;
  return {
    ...(bytes === tenant.storage_quota ? {} : { storage_quota: bytes }),
    ...(connections === tenant.connection_quota ? {} : { connection_quota: connections }),
  };
}

/** The new tenant's slug, and its name and server where they are given. */
export function copyOf(given: Pick<Given, "slug" | "name" | "server">): Record<string, Json> {
  return { slug: given.slug, ...(given.name && { name: given.name }), ...(given.server && { server: given.server }) };
}

function cloned(given: Given): Record<string, Json> {
  const expiry = given.days.trim() ? { expires_in: secondsOf(given.days) } : {};
  return { ...copyOf(given), without_people: given.withoutPeople, ...expiry };
}

function restored(given: Given, backup: Backup | undefined): Record<string, Json> {
  return { backup: backup?.id ?? null, as: given.slug, ...(given.name && { name: given.name }) };
}

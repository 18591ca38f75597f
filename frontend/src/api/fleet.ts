// The calls of operators. What takes long answers with an operation, which a worker carries out.

import type {
  AskedServer,
  AuditEntry,
  Backup,
  DeleteFleetTenantData,
  Finding,
  FleetOperation,
  FleetServer,
  FleetTenant,
  GetFleetAuditData,
  GetFleetFindingsData,
  GetFleetMigrationsData,
  GetFleetOperationData,
  GetFleetOperationsData,
  GetFleetProcessesData,
  GetFleetReplicationData,
  GetFleetServerData,
  GetFleetServersData,
  GetFleetStatementsData,
  GetFleetTenantBackupsData,
  GetFleetTenantData,
  GetFleetTenantNewerData,
  GetFleetTenantSizeData,
  GetFleetTenantsData,
  GetFleetUsageData,
  GetFleetUsageHoursData,
  HourOfUsage,
  MigrationRun,
  Migrations,
  NewerThanBackup,
  NewImpersonation,
  PostFleetAdoptionsData,
  PostImpersonationsData,
  PostFleetOperationCancelData,
  PostFleetOperationRetryData,
  PostFleetQueryData,
  PostFleetTenantAdministratorData,
  PostFleetTenantCloneData,
  PostFleetTenantMigrateData,
  PostFleetTenantMoveData,
  PostFleetTenantPurgeData,
  PostFleetTenantRestoreData,
  PostFleetTenantUndeleteData,
  Replication,
  ServingProcess,
  Statement,
  TenantChange,
  TenantRows,
  TenantSize,
  TenantUsage,
} from "../../generated/api/types.gen";
import { addressWith, call } from "./http";
import type { Json } from "./json";

export type {
  AskedServer,
  AuditEntry,
  Backup,
  Finding,
  FleetOperation,
  FleetServer,
  FleetTenant,
  HourOfUsage,
  MigrationRun,
  Migrations,
  NewerThanBackup,
  Replication,
  ServingProcess,
  Statement,
  TenantRows,
  TenantUsage,
};

const TENANTS: GetFleetTenantsData["url"] = "/api/v1/fleet/tenants";
const TENANT: (GetFleetTenantData | DeleteFleetTenantData)["url"] = "/api/v1/fleet/tenants/{slug}";
const UNDELETE: PostFleetTenantUndeleteData["url"] = "/api/v1/fleet/tenants/{slug}/undelete";
const ADMINISTRATOR: PostFleetTenantAdministratorData["url"] = "/api/v1/fleet/tenants/{slug}/administrator";
const PURGE: PostFleetTenantPurgeData["url"] = "/api/v1/fleet/tenants/{slug}/purge";
const MIGRATE: PostFleetTenantMigrateData["url"] = "/api/v1/fleet/tenants/{slug}/migrate";
const BACKUPS: GetFleetTenantBackupsData["url"] = "/api/v1/fleet/tenants/{slug}/backups";
const SIZE: GetFleetTenantSizeData["url"] = "/api/v1/fleet/tenants/{slug}/size";
const NEWER: GetFleetTenantNewerData["url"] = "/api/v1/fleet/tenants/{slug}/newer";
const RESTORE: PostFleetTenantRestoreData["url"] = "/api/v1/fleet/tenants/{slug}/restore";
const CLONE: PostFleetTenantCloneData["url"] = "/api/v1/fleet/tenants/{slug}/clone";
const MOVE: PostFleetTenantMoveData["url"] = "/api/v1/fleet/tenants/{slug}/move";
const ADOPTIONS: PostFleetAdoptionsData["url"] = "/api/v1/fleet/adoptions";
const IMPERSONATIONS: PostImpersonationsData["url"] = "/api/v1/fleet/impersonations";
const OPERATIONS: GetFleetOperationsData["url"] = "/api/v1/fleet/operations";
const OPERATION: GetFleetOperationData["url"] = "/api/v1/fleet/operations/{id}";
const RETRY: PostFleetOperationRetryData["url"] = "/api/v1/fleet/operations/{id}/retry";
const CANCEL: PostFleetOperationCancelData["url"] = "/api/v1/fleet/operations/{id}/cancel";
const SERVERS: GetFleetServersData["url"] = "/api/v1/fleet/servers";
const SERVER: GetFleetServerData["url"] = "/api/v1/fleet/servers/{name}";
const PROCESSES: GetFleetProcessesData["url"] = "/api/v1/fleet/processes";
const REPLICATION: GetFleetReplicationData["url"] = "/api/v1/fleet/replication";
const FINDINGS: GetFleetFindingsData["url"] = "/api/v1/fleet/findings";
const MIGRATIONS: GetFleetMigrationsData["url"] = "/api/v1/fleet/migrations";
const QUERY: PostFleetQueryData["url"] = "/api/v1/fleet/query";
const USAGE: GetFleetUsageData["url"] = "/api/v1/fleet/usage";
const HOURS: GetFleetUsageHoursData["url"] = "/api/v1/fleet/usage/hours";
const STATEMENTS: GetFleetStatementsData["url"] = "/api/v1/fleet/statements";
const AUDIT: GetFleetAuditData["url"] = "/api/v1/fleet/audit";

export interface PageOf<T> {
  items: T[];
  next: string | null;
}

type Query = Record<string, string>;

export const readTenants = (query: Query, signal: AbortSignal) => list<FleetTenant>(TENANTS, query, signal);
export const readOperations = (query: Query, signal: AbortSignal) => list<FleetOperation>(OPERATIONS, query, signal);
export const readAudit = (query: Query, signal: AbortSignal) => list<AuditEntry>(AUDIT, query, signal);
export const readUsage = (query: Query, signal: AbortSignal) => list<TenantUsage>(USAGE, query, signal);
export const readHours = async (slug: string, since: string, limit: number) =>
  (await read<PageOf<HourOfUsage>>(`${HOURS}?${new URLSearchParams({ slug, since, limit: String(limit) })}`)).items;
export const readStatements = async (query: Query) =>
  (await read<PageOf<Statement>>(`${STATEMENTS}?${new URLSearchParams(query)}`)).items;
export const readTenant = (slug: string) => read<FleetTenant>(fill(TENANT, slug));
export const readSize = async (slug: string) => (await read<TenantSize>(fill(SIZE, slug))).size;
export const readOperation = (id: string) => read<FleetOperation>(fill(OPERATION, id));
export const readServers = async () => (await read<PageOf<FleetServer>>(SERVERS)).items;
export const askServer = (name: string) => read<AskedServer>(fill(SERVER, name));
export const readProcesses = async () => (await read<PageOf<ServingProcess>>(PROCESSES)).items;
export const readReplication = async () => (await read<PageOf<Replication>>(REPLICATION)).items;
export const readFindings = async () => (await read<PageOf<Finding>>(FINDINGS)).items;
export const readMigrations = () => read<Migrations>(MIGRATIONS);
export const readBackups = async (slug: string) => (await read<PageOf<Backup>>(fill(BACKUPS, slug))).items;
export const readNewer = (slug: string, backup: string) =>
  read<NewerThanBackup>(`${fill(NEWER, slug)}?${new URLSearchParams({ backup })}`);

export const changeTenant = (slug: string, body: TenantChange) =>
  send<FleetTenant>("PATCH", fill(TENANT, slug), { ...body });
export const deleteTenant = (slug: string) => send<FleetTenant>("DELETE", fill(TENANT, slug));
export const undeleteTenant = (slug: string) => send<FleetTenant>("POST", fill(UNDELETE, slug));

type Body = Record<string, Json>;

export const appointAdministrator = (slug: string, body: Body) =>
  send<FleetTenant>("POST", fill(ADMINISTRATOR, slug), body);

export const createTenant = (body: Body) => send<FleetOperation>("POST", TENANTS, body);
export const adoptDatabase = (body: Body) => send<FleetOperation>("POST", ADOPTIONS, body);
export const backUpTenant = (slug: string) => send<FleetOperation>("POST", fill(BACKUPS, slug));
export const restoreTenant = (slug: string, body: Body) => send<FleetOperation>("POST", fill(RESTORE, slug), body);
export const cloneTenant = (slug: string, body: Body) => send<FleetOperation>("POST", fill(CLONE, slug), body);
export const moveTenant = (slug: string, body: Body) => send<FleetOperation>("POST", fill(MOVE, slug), body);
export const migrateTenant = (slug: string, body: Body) => send<FleetOperation>("POST", fill(MIGRATE, slug), body);
export const purgeTenant = (slug: string, body: Body) => send<FleetOperation>("POST", fill(PURGE, slug), body);
export const retryOperation = (id: string, body: Body) => send<FleetOperation>("POST", fill(RETRY, id), body);
export const cancelOperation = (id: string) => send<FleetOperation>("POST", fill(CANCEL, id));

/** Ask a page of tenants the question. `cursor` goes on where the last page ended. */
export async function askFleet(body: Body, cursor: string, signal: AbortSignal): Promise<PageOf<TenantRows>> {
  return (await call<PageOf<TenantRows>>("POST", addressWith(QUERY, { cursor }), { body, signal })).data;
}

/** Put a value into the one place of an address. */
function fill(address: string, value: string): string {
  return address.replace(/\{\w+\}/, encodeURIComponent(value));
}

async function read<T>(path: string): Promise<T> {
  return (await call<T>("GET", path)).data;
}

async function list<T>(path: string, query: Query, signal: AbortSignal): Promise<PageOf<T>> {
  return (await call<PageOf<T>>("GET", `${path}?${new URLSearchParams(query)}`, { signal })).data;
}

async function send<T>(method: string, path: string, body?: Body): Promise<T> {
  return (await call<T>(method, path, { body })).data;
}

/** Work as somebody else: the session of the operator ends, and the browser has that of the person in its place. */
export async function impersonate(asked: NewImpersonation): Promise<void> {
  await call("POST", IMPERSONATIONS, { body: { ...asked } });
}

// The call about the audit trail of a tenant.

import type { GetTenantAuditData, OwnAuditEntryPage } from "../../generated/api/types.gen";
import { call } from "./http";

const AUDIT: GetTenantAuditData["url"] = "/api/v1/tenant/audit";

export interface AuditFilters {
  actor: string;
  action: string;
  cursor: string;
}

export async function readAudit(tenant: string, filters: AuditFilters, signal: AbortSignal): Promise<OwnAuditEntryPage> {
  const query = new URLSearchParams(Object.entries(filters).filter(([, value]) => value !== ""));
  return (await call<OwnAuditEntryPage>("GET", `${AUDIT}?${query}`, { tenant, signal })).data;
}

// The call about the audit trail of a tenant.

import type { GetTenantAuditData, OwnAuditEntryPage } from "../../generated/api/types.gen";
import { addressWith, call } from "./http";

const AUDIT: GetTenantAuditData["url"] = "/api/v1/tenant/audit";

export interface AuditFilters {
  actor: string;
  action: string;
  cursor: string;
}

export async function readAudit(tenant: string, filters: AuditFilters, signal: AbortSignal): Promise<OwnAuditEntryPage> {
  return (await call<OwnAuditEntryPage>("GET", addressWith(AUDIT, { ...filters }), { tenant, signal })).data;
}

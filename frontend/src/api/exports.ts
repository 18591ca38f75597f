// The calls about the exports of a tenant.

import type { ExportPage, GetTenantExportsData, Operation, PostTenantExportData } from "../../generated/api/types.gen";
import { addressIn, addressWith, call } from "./http";

const EXPORT: PostTenantExportData["url"] = "/api/v1/tenant/export";
const EXPORTS: GetTenantExportsData["url"] = "/api/v1/tenant/exports";

export async function readExports(tenant: string, cursor: string, signal?: AbortSignal): Promise<ExportPage> {
  return (await call<ExportPage>("GET", addressWith(EXPORTS, { cursor }), { tenant, signal })).data;
}

export async function beginExport(tenant: string): Promise<Operation> {
  return (await call<Operation>("POST", EXPORT, { tenant })).data;
}

/** The address of a bundle, which the browser fetches itself, however large it is. */
export function bundleAddress(tenant: string, id: string): string {
  return addressIn(tenant, `/tenant/exports/${id}`);
}

// The calls about the domains of mail addresses that a tenant claims.

import type { Domain, Domains, GetDomainsData, PatchDomainData, PostVerifiedDomainData } from "../../generated/api/types.gen";
import { call } from "./http";

const DOMAINS: GetDomainsData["url"] = "/api/v1/domains";
const DOMAIN: PatchDomainData["url"] = "/api/v1/domains/{id}";
const VERIFY: PostVerifiedDomainData["url"] = "/api/v1/domains/{id}/verify";

export async function readDomains(tenant: string): Promise<Domain[]> {
  return (await call<Domains>("GET", DOMAINS, { tenant })).data.items;
}

export async function claimDomain(tenant: string, domain: string): Promise<Domain> {
  return (await call<Domain>("POST", DOMAINS, { tenant, body: { domain } })).data;
}

/** Have the server ask the DNS now. */
export async function verifyDomain(tenant: string, id: string): Promise<Domain> {
  return (await call<Domain>("POST", VERIFY.replace("{id}", id), { tenant })).data;
}

export async function captureDomain(tenant: string, id: string, capture: boolean): Promise<Domain> {
  return (await call<Domain>("PATCH", DOMAIN.replace("{id}", id), { tenant, body: { capture } })).data;
}

export async function removeDomain(tenant: string, id: string): Promise<void> {
  await call("DELETE", DOMAIN.replace("{id}", id), { tenant });
}

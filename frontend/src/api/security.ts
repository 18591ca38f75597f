// The calls about what a tenant asks of its people, and about its identity provider.

import type {
  Elsewhere,
  GetTenantSettingsData,
  PostSessionSingleSignOnData,
  TenantSettings,
  TenantSettingsChange,
} from "../../generated/api/types.gen";
import { call } from "./http";

const SETTINGS: GetTenantSettingsData["url"] = "/api/v1/tenant/settings";
const LINK: PostSessionSingleSignOnData["url"] = "/api/v1/session/single-sign-on";

export async function readSettings(tenant: string): Promise<TenantSettings> {
  return (await call<TenantSettings>("GET", SETTINGS, { tenant })).data;
}

export async function changeSettings(tenant: string, change: TenantSettingsChange): Promise<TenantSettings> {
  return (await call<TenantSettings>("PATCH", SETTINGS, { tenant, body: { ...change } })).data;
}

/** Have the identity provider of a tenant vouch for who is signed in. The browser leaves the page, and comes back to it. */
export async function goToProvider(tenant: string, to: string): Promise<void> {
  const { location } = (await call<Elsewhere>("POST", LINK, { body: { tenant, to } })).data;
  window.location.assign(location);
}

// The calls about what a tenant asks of its people, and about its identity provider.

import type {
  Elsewhere,
  GetIdentityProviderData,
  GetSingleSignOnData,
  GetTenantSettingsData,
  IdentityProvider,
  PostSessionSingleSignOnData,
  ProviderSettings,
  ProviderUse,
  SingleSignOn,
  TenantSettings,
  TenantSettingsChange,
} from "../../generated/api/types.gen";
import { call } from "./http";
import { Problem } from "./problem";

const SETTINGS: GetTenantSettingsData["url"] = "/api/v1/tenant/settings";
const PROVIDER: GetIdentityProviderData["url"] = "/api/v1/identity-provider";
const SINGLE_SIGN_ON: GetSingleSignOnData["url"] = "/api/v1/single-sign-on";
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

/** The identity provider of a tenant; null without one. */
export async function readProvider(tenant: string): Promise<IdentityProvider | null> {
  try {
    return (await call<IdentityProvider>("GET", PROVIDER, { tenant })).data;
  } catch (error) {
    if (error instanceof Problem && error.code === "not_found") return null;
    throw error;
  }
}

export async function setProvider(tenant: string, settings: ProviderSettings): Promise<IdentityProvider> {
  return (await call<IdentityProvider>("PUT", PROVIDER, { tenant, body: { ...settings } })).data;
}

export async function changeProvider(tenant: string, change: ProviderUse): Promise<IdentityProvider> {
  return (await call<IdentityProvider>("PATCH", PROVIDER, { tenant, body: { ...change } })).data;
}

export async function removeProvider(tenant: string): Promise<void> {
  await call("DELETE", PROVIDER, { tenant });
}

/**
 * Sign in by the identity provider of a tenant, before anybody is signed in. The browser leaves the page. The tenant is named by
 * its slug, or by somebody's mail address, of which only the domain is sent. `pathIn` says where the person goes in the tenant.
 */
export async function signInByProvider(named: string, pathIn: (tenant: string) => string): Promise<void> {
  const query = new URLSearchParams(named.includes("@") ? { domain: named.replace(/^.*@/, "") } : { tenant: named });
  const { start, tenant } = (await call<SingleSignOn>("GET", `${SINGLE_SIGN_ON}?${query}`)).data;
  window.location.assign(`${start}?${new URLSearchParams({ to: pathIn(tenant) })}`);
}

// The calls about API tokens and service accounts.

import type {
  GetServiceAccountsData,
  GetSessionData,
  GetTokensData,
  MadeToken,
  NewServiceAccount,
  NewToken,
  ServiceAccount,
  ServiceAccountPage,
  Session,
  TokenPage,
} from "../../generated/api/types.gen";
import { addressWith, call } from "./http";

const TOKENS: GetTokensData["url"] = "/api/v1/tokens";
const ACCOUNTS: GetServiceAccountsData["url"] = "/api/v1/service-accounts";
const SESSION: GetSessionData["url"] = "/api/v1/session";

/** The person's own tokens for a tenant, or with `all` those of everybody. */
export async function readTokens(tenant: string, all: boolean, cursor: string, signal: AbortSignal): Promise<TokenPage> {
  const path = addressWith(TOKENS, { all: all ? "true" : "", cursor });
  return (await call<TokenPage>("GET", path, { tenant, signal })).data;
}

export async function createToken(tenant: string, made: NewToken): Promise<MadeToken> {
  return (await call<MadeToken>("POST", TOKENS, { tenant, body: { ...made } })).data;
}

export async function revokeToken(tenant: string, id: string): Promise<void> {
  await call("DELETE", `${TOKENS}/${id}`, { tenant });
}

/** What the person may do in a tenant that is not the one of the page. */
export async function readOwnPermissions(tenant: string): Promise<string[]> {
  return (await call<Session>("GET", SESSION, { tenant })).data.permissions;
}

export async function readAccounts(tenant: string, cursor: string, signal: AbortSignal): Promise<ServiceAccountPage> {
  return (await call<ServiceAccountPage>("GET", addressWith(ACCOUNTS, { cursor }), { tenant, signal })).data;
}

export async function createAccount(tenant: string, made: NewServiceAccount): Promise<ServiceAccount> {
  return (await call<ServiceAccount>("POST", ACCOUNTS, { tenant, body: { ...made } })).data;
}

export async function removeAccount(tenant: string, id: string): Promise<void> {
  await call("DELETE", `${ACCOUNTS}/${id}`, { tenant });
}

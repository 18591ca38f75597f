// The calls about the tokens that the directory of a tenant comes with.

import type {
  GetProvisioningTokensData,
  MadeProvisioningToken,
  NewProvisioningToken,
  ProvisioningTokens,
} from "../../generated/api/types.gen";
import { call } from "./http";

const TOKENS: GetProvisioningTokensData["url"] = "/api/v1/provisioning-tokens";

/** All tokens, in the order of their making, and the address that the directory is given. */
export async function readProvisioning(tenant: string): Promise<ProvisioningTokens> {
  return (await call<ProvisioningTokens>("GET", TOKENS, { tenant })).data;
}

export async function makeProvisioningToken(tenant: string, made: NewProvisioningToken): Promise<MadeProvisioningToken> {
  return (await call<MadeProvisioningToken>("POST", TOKENS, { tenant, body: { ...made } })).data;
}

export async function revokeProvisioningToken(tenant: string, id: string): Promise<void> {
  await call("DELETE", `${TOKENS}/${id}`, { tenant });
}

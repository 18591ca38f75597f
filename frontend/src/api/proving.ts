// The calls by which people prove who they are, once more or for the first time.

import type {
  Account,
  Factors,
  GetAccountData,
  GetFactorsData,
  PasskeyChallenge,
  PostAccountPasswordResetsData,
  PostPasskeyChallengesData,
  PostOwnPasskeyChallengesData,
} from "../../generated/api/types.gen";
import { call } from "./http";

export const METHODS = ["password", "passkey", "totp", "recovery_code"] as const;
/** What people can prove who they are by. */
export type Method = (typeof METHODS)[number];

const ACCOUNT: GetAccountData["url"] = "/api/v1/account";
const FACTORS: GetFactorsData["url"] = "/api/v1/account/factors";
const RESETS: PostAccountPasswordResetsData["url"] = "/api/v1/account/password-resets";
const OF_ANYBODY: PostPasskeyChallengesData["url"] = "/api/v1/passkey-challenges";
const OF_ONESELF: PostOwnPasskeyChallengesData["url"] = "/api/v1/session/passkey-challenges";

export async function readAccount(): Promise<Account> {
  return (await call<Account>("GET", ACCOUNT)).data;
}

export async function readFactors(): Promise<Factors> {
  return (await call<Factors>("GET", FACTORS)).data;
}

/** What the person who is signed in can prove who they are by, at this host. */
export async function readMethods(): Promise<Method[]> {
  const [account, factors] = await Promise.all([readAccount(), readFactors()]);
  const has: Record<Method, boolean> = {
    password: account.has_password,
    passkey: factors.passkeys.some((each) => each.host === window.location.hostname),
    totp: factors.totp !== null,
    recovery_code: factors.recovery_codes > 0,
  };
  return METHODS.filter((each) => has[each]);
}

/** Ask for any passkey of anybody, to sign in by. */
export async function askAnyPasskey(): Promise<PasskeyChallenge> {
  return (await call<PasskeyChallenge>("POST", OF_ANYBODY)).data;
}

/** Ask for a passkey of the person who is signed in. */
export async function askOwnPasskey(): Promise<PasskeyChallenge> {
  return (await call<PasskeyChallenge>("POST", OF_ONESELF)).data;
}

/** Have a link for a new password sent. What was written may be a login, an address, or both. */
export async function requestReset(written: string): Promise<void> {
  await call("POST", RESETS, { body: { login: written } });
  if (written.includes("@")) await call("POST", RESETS, { body: { address: written } });
}

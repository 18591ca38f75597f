// The calls about one's own account: name, address, password, second factors, and invitations that wait for an answer.

import type {
  Account,
  DeleteAccountData,
  DeletePasskeyData,
  GetReceivedInvitationsData,
  Joined,
  NewApp,
  PasskeyChallenge,
  PatchAccountData,
  PostAccountAddressData,
  PostNewPasskeyChallengesData,
  PostPasskeysData,
  PostRecoveryCodesData,
  PostTotpConfirmationData,
  PostTotpData,
  PutAccountPasswordData,
  ReceivedInvitation,
  RecoveryCodes,
  Session,
} from "../../generated/api/types.gen";
import { call } from "./http";
import { madePasskey } from "./passkeys";
import { leave, renewed } from "./session";

const ACCOUNT: (DeleteAccountData | PatchAccountData)["url"] = "/api/v1/account";
const ADDRESS: PostAccountAddressData["url"] = "/api/v1/account/address";
const PASSWORD: PutAccountPasswordData["url"] = "/api/v1/account/password";
const APP: PostTotpData["url"] = "/api/v1/account/factors/totp";
const FIRST_CODE: PostTotpConfirmationData["url"] = "/api/v1/account/factors/totp/confirmation";
const ASKED_PASSKEYS: PostNewPasskeyChallengesData["url"] = "/api/v1/account/factors/passkey-challenges";
const PASSKEYS: PostPasskeysData["url"] = "/api/v1/account/factors/passkeys";
const RECOVERY_CODES: PostRecoveryCodesData["url"] = "/api/v1/account/factors/recovery-codes";
const INVITATIONS: GetReceivedInvitationsData["url"] = "/api/v1/account/invitations";

export async function rename(name: string): Promise<Account> {
  return (await call<Account>("PATCH", ACCOUNT, { body: { name } })).data;
}

/** Delete the account, and leave the page. */
export async function deleteAccount(): Promise<void> {
  await call("DELETE", ACCOUNT);
  leave();
}

/** Have a link sent to another address, which counts once it was opened. */
export async function requestAddress(address: string): Promise<void> {
  await call("POST", ADDRESS, { body: { address } });
}

export async function changePassword(old: string, now: string, endOthers: boolean): Promise<void> {
  renewed((await call<Session>("PUT", PASSWORD, { body: { old, new: now, end_other_sessions: endOthers } })).data);
}

/** Begin to set up an authenticator app. It does not count before its first code. */
export async function beginApp(): Promise<NewApp> {
  return (await call<NewApp>("POST", APP)).data;
}

export async function confirmApp(code: string): Promise<void> {
  await call("POST", FIRST_CODE, { body: { code } });
}

export async function removeApp(): Promise<void> {
  await call("DELETE", APP);
}

/** Have a passkey made, and add it. Without a name, it is called after the day. */
export async function addPasskey(name: string): Promise<void> {
  const asked = (await call<PasskeyChallenge>("POST", ASKED_PASSKEYS)).data;
  const made = await madePasskey(asked);
  await call("POST", PASSKEYS, { body: { ...made, ...(name ? { name } : {}) } });
}

function addressOf(id: DeletePasskeyData["path"]["id"]): string {
  return `${PASSKEYS}/${id}`;
}

export async function renamePasskey(id: string, name: string): Promise<void> {
  await call("PATCH", addressOf(id), { body: { name } });
}

export async function removePasskey(id: string): Promise<void> {
  await call("DELETE", addressOf(id));
}

/** Make new recovery codes. They are shown this once, and the former ones no longer work. */
export async function makeRecoveryCodes(): Promise<string[]> {
  return (await call<RecoveryCodes>("POST", RECOVERY_CODES)).data.codes;
}

export async function readInvitations(): Promise<ReceivedInvitation[]> {
  return (await call<{ items: ReceivedInvitation[] }>("GET", INVITATIONS)).data.items;
}

export async function acceptInvitation(id: string): Promise<Joined> {
  return (await call<Joined>("POST", `${INVITATIONS}/${id}`)).data;
}

export async function declineInvitation(id: string): Promise<void> {
  await call("DELETE", `${INVITATIONS}/${id}`);
}

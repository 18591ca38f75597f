// The calls about one-time links, which people need not be signed in for, and about what leads to one.

import type {
  Joined,
  LinkedInvitation,
  PostAcceptedLinkData,
  PostDeclinedLinkData,
  PostInvitationLinkData,
  PostLinkConfirmAddressData,
  PostLinkFirstPasswordData,
  PostLinkRegistrationData,
  PostLinkResetPasswordData,
  PostRegisteringLinkData,
  PostUsersData,
} from "../../generated/api/types.gen";
import { call } from "./http";
import type { Json } from "./json";

const CONFIRM: PostLinkConfirmAddressData["url"] = "/api/v1/links/confirm-address";
const PASSWORDS: Record<PasswordLink, (PostLinkFirstPasswordData | PostLinkResetPasswordData)["url"]> = {
  "first-password": "/api/v1/links/first-password",
  "reset-password": "/api/v1/links/reset-password",
};
const INVITATION: PostInvitationLinkData["url"] = "/api/v1/links/invitation";
const ACCEPT: PostAcceptedLinkData["url"] = "/api/v1/links/invitation/accept";
const DECLINE: PostDeclinedLinkData["url"] = "/api/v1/links/invitation/decline";
const REGISTER_INVITED: PostRegisteringLinkData["url"] = "/api/v1/links/invitation/register";
const REGISTER: PostLinkRegistrationData["url"] = "/api/v1/links/registration";
const USERS: PostUsersData["url"] = "/api/v1/users";

export type PasswordLink = "first-password" | "reset-password";

/** Who comes in by a link. `tenant` is for installations where people begin with their own. */
export type NewPerson = { login: string; name: string; password: string; tenant?: { slug: string; name: string } };

export async function confirmAddress(token: string): Promise<void> {
  await call("POST", CONFIRM, { body: { token } });
}

export async function setPassword(purpose: PasswordLink, token: string, password: string): Promise<void> {
  await call("POST", PASSWORDS[purpose], { body: { token, password } });
}

export async function readInvitation(token: string): Promise<LinkedInvitation> {
  return (await call<LinkedInvitation>("POST", INVITATION, { body: { token } })).data;
}

export async function acceptByLink(token: string): Promise<Joined> {
  return (await call<Joined>("POST", ACCEPT, { body: { token } })).data;
}

export async function declineByLink(token: string): Promise<void> {
  await call("POST", DECLINE, { body: { token } });
}

/** Make the account of a person, by an invitation or by a link for a registration. */
export async function register(by: "invitation" | "registration", token: string, person: NewPerson): Promise<void> {
  const { name, ...rest } = person;
  const body: Json = { token, ...rest, ...(name.trim() ? { name } : {}) };
  await call("POST", by === "invitation" ? REGISTER_INVITED : REGISTER, { body });
}

/** Have a link sent by which somebody registers. */
export async function requestRegistration(address: string): Promise<void> {
  await call("POST", USERS, { body: { address } });
}

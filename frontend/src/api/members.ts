// The calls about who has which roles in a tenant.

import type {
  GetInvitationsData,
  GetMembersData,
  GetSecondFactorsData,
  GetRolesData,
  Invitation,
  InvitationPage,
  Member,
  MemberPage,
  Role,
  RolePage,
  SecondFactors,
} from "../../generated/api/types.gen";
import type { Step } from "../model/roles";
import { addressWith, call } from "./http";
import { Problem } from "./problem";

const INVITATIONS: GetInvitationsData["url"] = "/api/v1/invitations";
const MEMBERS: GetMembersData["url"] = "/api/v1/members";
const FACTORS: GetSecondFactorsData["url"] = "/api/v1/members/second-factors";
const ROLES: GetRolesData["url"] = "/api/v1/roles";

/** A member by login, or a group by name. */
export type Grantee = { login: string } | { group: string };
/** Whoever is to have a role, also somebody who is no member yet. */
export type Admitted = Grantee | { address: string };

/** Words that a member's login or name has, a role, and whether they lack a second factor. Empty ones select all. */
export interface MemberFilters {
  q: string;
  role: string;
  without_second_factor: "true" | "";
}

export async function readMembers(
  tenant: string,
  filters: MemberFilters,
  cursor: string,
  signal?: AbortSignal,
): Promise<MemberPage> {
  return (await call<MemberPage>("GET", addressWith(MEMBERS, { ...filters, cursor }), { tenant, signal })).data;
}

/** How many people have a role in the tenant, and how many of them lack a second factor. */
export async function countSecondFactors(tenant: string): Promise<SecondFactors> {
  return (await call<SecondFactors>("GET", FACTORS, { tenant })).data;
}

/** The roles that a member may have, the highest rank first. */
export async function readRoles(tenant: string): Promise<Role[]> {
  return (await call<RolePage>("GET", ROLES, { tenant })).data.items;
}

/** Give a role to a member or a group, and return them; invite who is neither. */
export async function admit(tenant: string, who: Admitted, role: string): Promise<Member | undefined> {
  if (!("address" in who)) {
    try {
      return (await call<Member>("POST", MEMBERS, { tenant, body: { ...who, role } })).data;
    } catch (error) {
      if ("group" in who || !(error instanceof Problem && error.code === "not_found")) throw error;
    }
  }
  await call<Invitation>("POST", INVITATIONS, { tenant, body: { ...who, role } });
  return undefined;
}

/** The invitations that wait for an answer, the oldest first. */
export async function readInvitations(tenant: string, cursor: string, signal: AbortSignal): Promise<InvitationPage> {
  return (await call<InvitationPage>("GET", addressWith(INVITATIONS, { cursor }), { tenant, signal })).data;
}

/** Write one more mail about an invitation. It tells when the last one was written. */
export async function sendInvitation(tenant: string, id: string): Promise<Invitation> {
  return (await call<Invitation>("POST", `${INVITATIONS}/${id}/mail`, { tenant })).data;
}

export async function revokeInvitation(tenant: string, id: string): Promise<void> {
  await call("DELETE", `${INVITATIONS}/${id}`, { tenant });
}

/** Make one change of the roles of a member. Return them with their roles, where one was added. */
export async function takeStep(tenant: string, who: Grantee, step: Step): Promise<Member | undefined> {
  if (step.kind === "add") return (await call<Member>("POST", MEMBERS, { tenant, body: { ...who, role: step.role } })).data;
  if (step.kind === "change") await call("PATCH", `${MEMBERS}/${step.id}`, { tenant, body: { role: step.role } });
  else await call("DELETE", `${MEMBERS}/${step.id}`, { tenant });
  return undefined;
}

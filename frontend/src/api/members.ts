// The calls about who has which roles in a tenant.

import type { GetMembersData, GetRolesData, Member, MemberPage, Role, RolePage } from "../../generated/api/types.gen";
import type { Step } from "../model/roles";
import { call } from "./http";

const MEMBERS: GetMembersData["url"] = "/api/v1/members";
const ROLES: GetRolesData["url"] = "/api/v1/roles";

/** A person by login, or a group by name. */
export type Grantee = { login: string } | { group: string };

/** Words that a member's login or name has, and a role. Empty ones select all. */
export interface MemberFilters {
  q: string;
  role: string;
}

export async function readMembers(
  tenant: string,
  { q, role }: MemberFilters,
  cursor: string,
  signal?: AbortSignal,
): Promise<MemberPage> {
  const query = new URLSearchParams({ ...(q && { q }), ...(role && { role }), ...(cursor && { cursor }) });
  return (await call<MemberPage>("GET", query.size > 0 ? `${MEMBERS}?${query}` : MEMBERS, { tenant, signal })).data;
}

/** The roles that a member may have, the highest rank first. */
export async function readRoles(tenant: string): Promise<Role[]> {
  return (await call<RolePage>("GET", ROLES, { tenant })).data.items;
}

/** Make one change of the roles of a member. Return them with their roles, where one was added. */
export async function takeStep(tenant: string, who: Grantee, step: Step): Promise<Member | undefined> {
  if (step.kind === "add") return (await call<Member>("POST", MEMBERS, { tenant, body: { ...who, role: step.role } })).data;
  if (step.kind === "change") await call("PATCH", `${MEMBERS}/${step.id}`, { tenant, body: { role: step.role } });
  else await call("DELETE", `${MEMBERS}/${step.id}`, { tenant });
  return undefined;
}

// A member is a person or a group.

import type { Member } from "../../generated/api/types.gen";
import type { Grantee } from "../api/members";

export function nameOf(member: Member): string {
  return member.user?.name ?? member.group?.name ?? "";
}

export function idOf(member: Member): string {
  return member.user?.id ?? member.group?.id ?? "";
}

export function granteeOf(member: Member): Grantee {
  return member.user ? { login: member.user.login } : { group: member.group?.name ?? "" };
}

// The changes that lead from the roles of a member to those that were chosen. Each is a call of its own.

import type { MemberGrant, Role } from "../../generated/api/types.gen";

export type Step =
  | { kind: "add"; role: string }
  | { kind: "change"; id: string; role: string }
  | { kind: "remove"; id: string };

const MANAGE = "members.manage";

/** The names of the roles that make an administrator. */
export function managingRoles(roles: readonly Role[]): Set<string> {
  return new Set(roles.filter((each) => each.permissions.includes(MANAGE)).map((each) => each.name));
}

/**
 * Return the steps in their order. What may be refused, because a tenant keeps an administrator, comes first: a refusal
 * then leaves everything as it was. A role that makes an administrator is given before one is taken.
 */
export function stepsTo(present: readonly MemberGrant[], wanted: readonly string[], managing: Set<string>): Step[] {
  const byWeight = (one: string, other: string): number => Number(managing.has(other)) - Number(managing.has(one));
  const added = wanted.filter((role) => !present.some((each) => each.role === role)).sort(byWeight);
  const removed = present.filter((each) => !wanted.includes(each.role)).sort((one, other) => byWeight(one.role, other.role));
  const changes = removed.slice(0, added.length).map((each, index): [string, Step] => {
    return [each.role, { kind: "change", id: each.id, role: added[index]! }];
  });
  const removals = removed.slice(added.length).map((each): [string, Step] => [each.role, { kind: "remove", id: each.id }]);
  const additions = added.slice(removed.length).map((role): [string, Step] => [role, { kind: "add", role }]);
  return [...changes, ...removals, ...additions].sort(([one], [other]) => byWeight(one, other)).map(([, step]) => step);
}

/** All permissions of these roles, each once, in the order of their names. */
export function permissionsOf(roles: readonly Role[], names: readonly string[]): string[] {
  const permitted = roles.filter((each) => names.includes(each.name)).flatMap((each) => each.permissions);
  return [...new Set(permitted)].sort();
}

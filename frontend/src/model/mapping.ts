// Which groups of an identity provider get which roles.

export interface Mapped {
  group: string;
  role: string;
}

/** What is sent of the lines that somebody has filled in: those that name no group are left out. */
export function mappingOf(lines: readonly Mapped[]): Mapped[] {
  const named = lines.map(({ group, role }) => ({ group: group.trim(), role }));
  return named.filter((each) => each.group !== "" && each.role !== "");
}

// Permissions in words.

import { m } from "../strings/managing";
import { textOf } from "../strings/words";

/** A permission in words; those of a domain have only their name. */
export function permissionLabel(permission: string): string {
  return textOf(m.manage.permissions, permission) ?? permission;
}

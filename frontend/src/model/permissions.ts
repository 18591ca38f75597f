// Permissions in words.

import { m } from "../strings/managing";
import { declaredWords } from "./declared";
import { textOf } from "../strings/words";

/** A permission in words, or in those that the domain has declared for it; without any, its name. */
export function permissionLabel(permission: string): string {
  return textOf(m.manage.permissions, permission) ?? declaredWords(permission) ?? permission;
}

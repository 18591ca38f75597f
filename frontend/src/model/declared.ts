// The words that a domain has declared for its permissions.

import { language } from "../strings/language";
import { textOf } from "../strings/words";

export type DeclaredPermissions = Record<string, { description: string; translations: Record<string, string> }>;

let declared: DeclaredPermissions = {};

export function declarePermissions(found: DeclaredPermissions): void {
  declared = found;
}

/** What a permission of the domain permits, in the language of the person if there is a translation. */
export function declaredWords(permission: string, inLanguage: string = language): string | undefined {
  const found = textOf(declared, permission);
  return found && (textOf(found.translations, inLanguage) ?? found.description);
}

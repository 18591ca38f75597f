// What the document declares of the whole installation: the words for permissions of its domain, and who may register.

import { ref } from "vue";

import { language } from "../strings/language";
import { textOf } from "../strings/words";

export type DeclaredPermissions = Record<string, { description: string; translations: Record<string, string> }>;

/** Whether people may register themselves, and begin with a workspace of their own. */
export type Registration = "closed" | "open" | "tenant";
export const registration = ref<Registration>("closed");

let declared: DeclaredPermissions = {};

export function declarePermissions(found: DeclaredPermissions): void {
  declared = found;
}

/** What a permission of the domain permits, in the language of the person if there is a translation. */
export function declaredWords(permission: string, inLanguage: string = language): string | undefined {
  const found = textOf(declared, permission);
  return found && (textOf(found.translations, inLanguage) ?? found.description);
}

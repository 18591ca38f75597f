// The texts in the language of the person. Only the catalogues that are here can be chosen.

import { en, type Strings } from "./en";

const CATALOGUES: Record<string, Strings> = { en };

export function choose(languages: readonly string[]): string {
  const known = languages.map((each) => each.split("-")[0] ?? "").find((each) => each in CATALOGUES);
  return known ?? "en";
}

export const language = choose(typeof navigator === "undefined" ? [] : navigator.languages);
export const t: Strings = CATALOGUES[language] ?? en;

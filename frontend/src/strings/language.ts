// The language of the page: the one that the person has chosen, or else the first of the browser's that is here.

import { recall, remember } from "../model/kept";

/** The languages that have catalogues, each by its own name. */
export const LANGUAGES = { en: "English", de: "Deutsch" } as const;
export type Language = keyof typeof LANGUAGES;

const CHOSEN = "language";
const RIGHT_TO_LEFT = ["ar", "fa", "he", "ur"];

export function choose(languages: readonly string[], chosen: string | null = null): Language {
  const known = [chosen ?? "", ...languages].map(baseOf).find((each) => Object.hasOwn(LANGUAGES, each));
  return (known as Language | undefined) ?? "en";
}

/** The region that the browser has for a language decides how dates and numbers are written. */
export function localeOf(chosen: string, languages: readonly string[]): string {
  return languages.find((each) => baseOf(each) === chosen) ?? chosen;
}

export function directionOf(code: string): "ltr" | "rtl" {
  return RIGHT_TO_LEFT.includes(baseOf(code)) ? "rtl" : "ltr";
}

function baseOf(code: string): string {
  return code.split("-")[0]?.toLowerCase() ?? "";
}

const ofBrowser = typeof navigator === "undefined" ? [] : (navigator.languages ?? []);
export const language = choose(ofBrowser, recall<string | null>(CHOSEN, null));
export const locale = localeOf(language, ofBrowser);

/** Show the page in another language. What is not saved survives the reload. */
export function speak(code: Language): void {
  remember(CHOSEN, code);
  window.location.reload();
}

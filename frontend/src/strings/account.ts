// The texts of signing in and of the own account, in the language of the person.

import { type AccountStrings, en } from "./en.account";
import { language, type Language } from "./language";

const CATALOGUES: Record<Language, (() => Promise<AccountStrings>) | null> = {
  en: null,
  de: async () => (await import("./de.account")).de,
};

export let a: AccountStrings = en;

export async function readTexts(): Promise<void> {
  a = (await CATALOGUES[language]?.().catch(() => undefined)) ?? en;
}

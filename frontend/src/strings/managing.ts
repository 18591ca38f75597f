// The texts for those who manage a workspace, in the language of the person.

import { en, type ManagingStrings } from "./en.managing";
import { language, type Language } from "./language";

const CATALOGUES: Record<Language, (() => Promise<ManagingStrings>) | null> = {
  en: null,
  de: async () => (await import("./de.managing")).de,
};

export let m: ManagingStrings = en;

export async function readTexts(): Promise<void> {
  m = (await CATALOGUES[language]?.().catch(() => undefined)) ?? en;
}

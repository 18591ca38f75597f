// The texts about several rows at once, in the language of the person.

import { en, type BulkStrings } from "./en.bulk";
import { language, type Language } from "./language";

const CATALOGUES: Record<Language, (() => Promise<BulkStrings>) | null> = {
  en: null,
  de: async () => (await import("./de.bulk")).de,
};

export let b: BulkStrings = en;

export async function readTexts(): Promise<void> {
  b = (await CATALOGUES[language]?.().catch(() => undefined)) ?? en;
}

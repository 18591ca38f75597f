// The texts about files: rows from a CSV file, files of a row, and what is within a row, in the language of the person.

import { en, type RowStrings } from "./en.rows";
import { language, type Language } from "./language";

const CATALOGUES: Record<Language, (() => Promise<RowStrings>) | null> = {
  en: null,
  de: async () => (await import("./de.rows")).de,
};

export let r: RowStrings = en;

export async function readTexts(): Promise<void> {
  r = (await CATALOGUES[language]?.().catch(() => undefined)) ?? en;
}

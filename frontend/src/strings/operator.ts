// The console's texts in the language of the person.

import { en, type OperatorStrings } from "./en.operator";
import { language, type Language } from "./language";

const CATALOGUES: Record<Language, (() => Promise<OperatorStrings>) | null> = {
  en: null,
  de: async () => (await import("./de.operator")).de,
};

export let o: OperatorStrings = en;

export async function readTexts(): Promise<void> {
  o = (await CATALOGUES[language]?.().catch(() => undefined)) ?? en;
}

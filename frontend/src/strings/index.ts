// The texts in the language of the person. English comes with the page, and another language in a file of its own.

import { en, type Strings } from "./en";
import { language, type Language } from "./language";

export { locale } from "./language";

const CATALOGUES: Record<Language, (() => Promise<Strings>) | null> = {
  en: null,
  de: async () => (await import("./de")).de,
};

export let t: Strings = en;

/** Read the texts before the first of them is shown. Without them the page is in English. */
export async function readTexts(): Promise<void> {
  t = (await CATALOGUES[language]?.().catch(() => undefined)) ?? en;
}

// The texts of the tree and of builders' components, in the language of the person.

import { en, type ViewStrings } from "./en.views";
import { language, type Language } from "./language";

const CATALOGUES: Record<Language, (() => Promise<ViewStrings>) | null> = {
  en: null,
  de: async () => (await import("./de.views")).de,
};

export let v: ViewStrings = en;

export async function readTexts(): Promise<void> {
  v = (await CATALOGUES[language]?.().catch(() => undefined)) ?? en;
}

// The console's texts in the language of the person.

import { language } from ".";
import { en, type OperatorStrings } from "./en.operator";

const CATALOGUES: Record<string, OperatorStrings> = { en };

export const o: OperatorStrings = CATALOGUES[language] ?? en;

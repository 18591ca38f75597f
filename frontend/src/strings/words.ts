// Numbers and lists in texts, and texts by a name that is not known before.

import { once } from "../model/once";
import { locale } from "./language";

const numbers = once(() => new Intl.NumberFormat(locale, { maximumFractionDigits: 1 }));
const amounts = once(() => new Intl.NumberFormat(locale, { maximumFractionDigits: 20 }));
const rules = once(() => new Intl.PluralRules(locale));

export function number(value: number): string {
  return numbers().format(value);
}

/** A number of somebody's data, or one to compare with it: it is not rounded. */
export function amount(value: number | bigint): string {
  return amounts().format(value);
}

/** `1 row`, `2 rows`. A language with more forms than two names them by the rules of Unicode. */
export function plural(
  count: number,
  one: string,
  many: string,
  others: Partial<Record<Intl.LDMLPluralRule, string>> = {},
): string {
  const rule = rules().select(count);
  return `${number(count)} ${others[rule] ?? (rule === "one" ? one : many)}`;
}

/** The text of a name, such as the code of a problem. A newer server may have names that the page does not know. */
export function textOf<T>(texts: Record<string, T>, name: string): T | undefined {
  return Object.hasOwn(texts, name) ? texts[name] : undefined;
}

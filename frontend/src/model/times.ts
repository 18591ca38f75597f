// Times and dates in the words and the zone of the person.

import { locale, t } from "../strings";
import { once } from "./once";

const DAY = 86_400_000; // milliseconds
const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", DAY],
  ["hour", 3_600_000],
  ["minute", 60_000],
];
const relative = once(() => new Intl.RelativeTimeFormat(locale, { numeric: "auto" }));
const dates = once(() => new Intl.DateTimeFormat(locale, { dateStyle: "medium" }));
const full = once(() => new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }));

/** `5 minutes ago` within a week, and a date before. */
export function ago(text: string, now: number = Date.now()): string {
  const time = Date.parse(text);
  if (Number.isNaN(time)) return text;
  const passed = time - now;
  if (Math.abs(passed) > 7 * DAY) return dates().format(time);
  const [unit, length] = STEPS.find(([, each]) => Math.abs(passed) >= each) ?? ["second", 1000];
  return unit === "second" ? t.app.justNow : relative().format(Math.trunc(passed / length), unit);
}

export function exact(text: string): string {
  const time = Date.parse(text);
  return Number.isNaN(time) ? text : full().format(time);
}

/** A date without a time, which has no zone. */
export function day(text: string): string {
  const time = Date.parse(`${text}T12:00:00`);
  return Number.isNaN(time) ? text : dates().format(time);
}

// What tenants use: the period that is shown, and its hours as a curve.

import type { HourOfUsage } from "../../api/fleet";

const HOUR = 3_600_000; // milliseconds

/** The beginning of the hour that was so many hours ago, for the API. */
export function hoursAgo(hours: number, now: number = Date.now()): string {
  return new Date((Math.floor(now / HOUR) - hours) * HOUR).toISOString().replace(".000Z", "Z");
}

/** The query of the API for what the address has: `hours` is the length of the period. */
export function askedOf({ hours, ...rest }: Record<string, string>, now: number = Date.now()): Record<string, string> {
  const length = /^\d{1,4}$/.test(hours ?? "") ? Number(hours) : 24;
  return { ...rest, since: hoursAgo(length, now) };
}

export interface Sums {
  requests: number;
  /** The hour with most requests, or undefined if there were none. */
  most: HourOfUsage | undefined;
  /** The last hour in which something was used. */
  last: HourOfUsage | undefined;
}

export function sumsOf(hours: readonly HourOfUsage[]): Sums {
  const by = (is: (one: HourOfUsage, other: HourOfUsage) => boolean): HourOfUsage | undefined =>
    hours.reduce<HourOfUsage | undefined>((best, each) => (!best || is(each, best) ? each : best), undefined);
  return {
    requests: hours.reduce((sum, each) => sum + each.requests, 0),
    most: by((one, other) => one.requests > other.requests),
    last: by((one, other) => one.hour > other.hour),
  };
}

/** The requests of each hour since `since` in a box of this size, as the points of an SVG line: a step for each hour. */
export function hoursCurve(
  hours: readonly HourOfUsage[],
  since: string,
  length: number,
  width: number,
  height: number,
): string {
  const first = Date.parse(since);
  const requests = new Map(hours.map((each) => [(Date.parse(each.hour) - first) / HOUR, each.requests]));
  const most = Math.max(...requests.values(), 1);
  return Array.from({ length }, (_, hour) => {
    const y = (height - ((requests.get(hour) ?? 0) / most) * height).toFixed(1);
    return [hour, hour + 1].map((x) => `${((x / length) * width).toFixed(1)},${y}`).join(" ");
  }).join(" ");
}

// How fast a migration of the fleet goes, from what was seen since the page was opened.

import type { Migrations } from "../../api/fleet";

export interface Sample {
  at: number; // milliseconds
  done: number;
}

const WINDOW = 5 * 60_000; // milliseconds that the rate is taken over

export function totalOf(state: Migrations): number {
  return state.revisions.reduce((sum, each) => sum + each.tenants, 0);
}

/** The tenants that are at the newest revision. */
export function doneOf(state: Migrations): number {
  return state.revisions.find((each) => each.revision === state.head)?.tenants ?? 0;
}

export function underWay(state: Migrations): number {
  const waiting = ["queued", "running", "undoing"];
  return state.states.reduce((sum, each) => sum + (each.state && waiting.includes(each.state) ? each.tenants : 0), 0);
}

/** Add a sample, and forget those that are too old. A number that fell begins anew: the newest revision is another. */
export function withSample(samples: readonly Sample[], added: Sample): Sample[] {
  const last = samples.at(-1);
  if (last && added.done < last.done) return [added];
  return [...samples.filter((each) => each.at >= added.at - WINDOW), added];
}

/** Tenants per minute, or null while nothing was seen to move. */
export function rateOf(samples: readonly Sample[]): number | null {
  const [first] = samples;
  const last = samples.at(-1);
  if (!first || !last || last.done === first.done || last.at === first.at) return null;
  return ((last.done - first.done) * 60_000) / (last.at - first.at);
}

/** Minutes until all are done at this rate, or null. */
export function minutesLeft(state: Migrations, samples: readonly Sample[]): number | null {
  const rate = rateOf(samples);
  const left = totalOf(state) - doneOf(state);
  return rate === null || left === 0 ? null : left / rate;
}

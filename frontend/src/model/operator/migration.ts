// How far the migration of the fleet is, and how fast its run goes.

import type { Migrations, MigrationRun } from "../../api/fleet";
import { o } from "../../strings/operator";
import { textOf } from "../../strings/words";

type Points = MigrationRun["points"];

const WINDOW = 300; // seconds that the rate is taken over

export function totalOf(state: Migrations): number {
  return state.revisions.reduce((sum, each) => sum + each.tenants, 0);
}

/** The tenants that are at the newest revision. */
export function doneOf(state: Migrations): number {
  return state.revisions.find((each) => each.revision === state.head)?.tenants ?? 0;
}

/** The tenants of a run: all, those that have arrived, and those that failed. */
export function sumsOf(run: MigrationRun): { tenants: number; done: number; failed: number } {
  const sum = (name: "tenants" | "done" | "failed"): number => run.stages.reduce((all, each) => all + each[name], 0);
  return { tenants: sum("tenants"), done: sum("done"), failed: sum("failed") };
}

/** Tenants per minute over the last minutes, or null while nothing has moved. */
export function rateOf(points: Points): number | null {
  const last = points.at(-1);
  const first = points.find((each) => last && each.seconds >= last.seconds - WINDOW);
  if (!first || !last || last.done === first.done || last.seconds === first.seconds) return null;
  return ((last.done - first.done) * 60) / (last.seconds - first.seconds);
}

/** Minutes until every tenant of the run was tried, at its present rate; null if that is not known or over. */
export function minutesLeft(run: MigrationRun): number | null {
  const rate = rateOf(run.points);
  const { tenants, done, failed } = sumsOf(run);
  return run.state !== "running" || rate === null ? null : (tenants - done - failed) / rate;
}

export function stageLabel(name: string): string {
  const wave = /^wave (\d+)$/.exec(name);
  return wave ? o.migrating.wave(Number(wave[1])) : name === "rest" ? o.migrating.rest : name;
}

/** What became of a run, and what to do next. */
export function outcomeOf(run: MigrationRun): string {
  const { failed } = sumsOf(run);
  const { outcomes } = o.migrating;
  if (run.state === "running") return outcomes.running;
  if (run.state === "died") return outcomes.died;
  if (run.state === "stopped") return textOf<string>(outcomes, run.stopped_by ?? "") ?? outcomes.error;
  if (run.stages.length === 0) return outcomes.rehearsed;
  return failed === 0 ? outcomes.finished : outcomes.with_failures;
}

/** A rehearsal in a sentence, and what it kept others from. */
export function rehearsalText(rehearsal: MigrationRun["rehearsals"][number]): string {
  const { tenant, state, duration, error, branch, locks } = rehearsal;
  const held = locks.map(({ table, keeps_from, seconds }) =>
    o.migrating.held(table, keeps_from === "writing", seconds));
  const sentences = [o.migrating.rehearsal(tenant, o.migrating.rehearsalStates[state], duration), ...held];
  if (error !== null) sentences.push(error);
  if (branch !== null) sentences.push(o.migrating.branch(branch));
  return sentences.join(" ");
}

/** The curve of a run in a box of this size, as the points of an SVG line. Time goes to the right, tenants go up. */
export function curveOf(run: MigrationRun, width: number, height: number): string {
  const most = Math.max(sumsOf(run).tenants, 1);
  const end = Math.max(run.points.at(-1)?.seconds ?? 0, 1);
  const place = ({ seconds, done }: Points[number]): string =>
    `${((seconds / end) * width).toFixed(1)},${(height - (done / most) * height).toFixed(1)}`;
  return run.points.map(place).join(" ");
}

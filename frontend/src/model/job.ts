// What can be done with a job, and what is told of it.

import type { Job } from "../../generated/api/types.gen";
import { m } from "../strings/managing";
import { exact } from "./times";

/** One that waits can be begun at once. */
export function canRetry({ state }: Job): boolean {
  return state === "failed" || state === "cancelled" || state === "queued";
}

export function canCancel({ state }: Job): boolean {
  return state === "queued" || state === "running" || state === "held";
}

/** When a job was or will be done. */
export function whenOf(job: Job, now: number = Date.now()): string {
  if (job.state === "queued") return Date.parse(job.due_at) > now ? m.jobs.due(exact(job.due_at)) : m.jobs.dueNow;
  return exact(job.finished_at ?? job.started_at ?? job.created_at);
}

/** The arguments of a job as one text; undefined if it has none. */
export function argumentsOf({ arguments: given }: Job): string | undefined {
  return Object.keys(given).length > 0 ? JSON.stringify(given, null, 1) : undefined;
}

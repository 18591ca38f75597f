// Work on several rows. Each is asked for by its id and version, so no row is changed that the person did not choose, and
// none in a version that they have not seen. What is refused for a row leaves the others as they are.

import { type Failure, Problem } from "../api/problem";
import { asFailure } from "./failure";

const CHUNK = 100; // parts of a batch
const GIVE_UP = 3; // rows that are refused alike before any is accepted
/** They concern one part, and the others no less. */
const OF_ALL = new Set(["conflict", "not_signed_in", "permission_denied"]);

export interface Refusal<P> {
  part: P;
  problem: Problem;
}

export interface Work<P, R> {
  queue: { parts: P[]; key: string }[];
  /** `result` is missing where only a first answer had it, and that got lost. */
  done: { part: P; result: R | undefined }[];
  refused: Refusal<P>[];
  /** What was not begun, because all before it were refused for the same reason. */
  untried: P[];
}

export type Send<P, R> = (parts: P[], key: string) => Promise<R[]>;

export function workOn<P, R>(parts: readonly P[]): Work<P, R> {
  return { queue: chunksOf(parts, CHUNK), done: [], refused: [], untried: [] };
}

/**
 * Carry out what is left. Throws a `Failure` that concerns all: nothing more was done then, as far as is known, and a
 * second call goes on with the same key.
 */
export async function carryOut<P, R>(work: Work<P, R>, send: Send<P, R>, progress: () => void): Promise<void> {
  for (let before = -1; work.done.length > before && work.queue.length > 0; ) {
    before = work.done.length;
    while (work.queue.length > 0) {
      await next(work, send);
      progress();
    }
    if (work.done.length > before) tryAgain(work);
  }
}

/** A row may stand in the way of another one only until that is changed or deleted too. */
function tryAgain<P, R>(work: Work<P, R>): void {
  const again = work.refused.filter(({ problem }) => problem.status === 409);
  work.refused = work.refused.filter(({ problem }) => problem.status !== 409);
  work.queue = chunksOf(again.map(({ part }) => part), CHUNK);
}

async function next<P, R>(work: Work<P, R>, send: Send<P, R>): Promise<void> {
  const [{ parts, key }, ...others] = work.queue as [{ parts: P[]; key: string }];
  try {
    const results = await sent(parts, key, send);
    work.done.push(...parts.map((part, index) => ({ part, result: results[index] })));
    work.queue = others;
  } catch (error) {
    work.queue = [...without(work, parts, asFailure(error)), ...others];
  }
  if (isHopeless(work)) {
    work.untried = work.queue.flatMap((each) => each.parts);
    work.queue = [];
  }
}

/** The results; none if the batch was carried out before, and its answer was too large to be kept. */
async function sent<P, R>(parts: P[], key: string, send: Send<P, R>): Promise<R[]> {
  try {
    return await send(parts, key);
  } catch (error) {
    if (error instanceof Problem && error.code === "answer_not_kept") return [];
    throw error;
  }
}

/** The batches in the place of one that was refused: its parts before and after the one that was the reason. */
function without<P, R>(work: Work<P, R>, parts: P[], failure: Failure): Work<P, R>["queue"] {
  if (!(failure instanceof Problem)) throw failure;
  if (failure.code === "batch_too_large" && parts.length > 1) return chunksOf(parts, Math.ceil(parts.length / 2));
  const part = parts[failure.part ?? (failure.code === "batch_too_large" ? 0 : -1)];
  if (part === undefined || failure.status >= 500 || OF_ALL.has(failure.code)) throw failure;
  work.refused.push({ part, problem: failure });
  const at = parts.indexOf(part);
  return [...chunksOf(parts.slice(0, at), CHUNK), ...chunksOf(parts.slice(at + 1), CHUNK)];
}

function isHopeless<P, R>({ done, refused }: Work<P, R>): boolean {
  const reasons = new Set(refused.map(({ problem }) => problem.code + (problem.errors[0]?.detail ?? "")));
  return done.length === 0 && refused.length >= GIVE_UP && reasons.size === 1 && refused[0]?.problem.status === 422;
}

function chunksOf<P>(parts: readonly P[], size: number): { parts: P[]; key: string }[] {
  const count = Math.ceil(parts.length / size);
  return Array.from({ length: count }, (_, index) => ({
    parts: parts.slice(index * size, (index + 1) * size),
    key: crypto.randomUUID(),
  }));
}

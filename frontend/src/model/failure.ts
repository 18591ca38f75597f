// Failures in words that people understand.

import { type Failure, isFailure, Problem } from "../api/problem";
import { t } from "../strings";
import { textOf } from "../strings/words";

/** What happened, and what to do. A domain has problems of its own, about which only the server has a sentence. */
export function sentenceOf(error: Failure): string {
  return textOf(t.problems, error.code) ?? (error.message || t.trouble.unknown);
}

/** What is the matter, in a few words. */
export function headingOf(error: Failure): string {
  return textOf(t.trouble.titles, error.code) ?? t.trouble.title;
}

/** Throw what is no failure of a call: a fault in the page must not look like one. */
export function asFailure(error: unknown): Failure {
  if (isFailure(error)) return error;
  throw error;
}

const OUTCOME_UNKNOWN = "outcome_unknown";

/** Seconds after which it is worth trying again without being asked, or null. */
export function pauseOf(error: Failure): number | null {
  if (!(error instanceof Problem)) return 5;
  return error.status === 503 && error.code !== OUTCOME_UNKNOWN ? Math.max(error.retryAfter ?? 5, 2) : null;
}

/** Whether a person who sends the change again, with its key, may have it made. It is made once in any case. */
export function isRepeatable(error: Failure): boolean {
  return error.code === OUTCOME_UNKNOWN || pauseOf(error) !== null;
}

export function isAborted(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

// What can go wrong with a call. `code` is stable, and the page decides by it.

import type { Json } from "./json";

export interface Pointed {
  pointer: string;
  detail: string;
}

export interface CsvFault {
  line: number;
  /** The name of a field, or null if it is about the whole line. */
  column: string | null;
  detail: string;
}

/** What a sign-in that is not complete goes on with. */
export interface Challenge {
  token: string;
  /** By which of these the person can go on. */
  methods: string[];
  /** What a passkey signs. */
  passkey_options?: Record<string, Json>;
}

export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: readonly Pointed[];
  /** What is wrong with a CSV file, the first faults of it, and how many lines are wrong. */
  readonly lines: readonly CsvFault[];
  readonly wrong: number;
  /** The index of the part of a batch that failed; null if it concerns the whole. */
  readonly part: number | null;
  readonly current: Record<string, Json> | undefined;
  readonly etag: string | null;
  readonly retryAfter: number | null;
  readonly requestId: string | null;
  /** What the operators have written about a suspended workspace. */
  readonly reason: string | null;
  readonly challenge: Challenge | undefined;
  /** What the DNS has in place of the record of a domain. */
  readonly found: readonly string[];

  constructor(status: number, body: Partial<ProblemBody>, headers: Headers) {
    super(body.detail ?? "");
    this.status = status;
    this.code = body.code ?? BY_STATUS[status] ?? "unknown";
    this.reason = body.reason ?? null;
    this.challenge = body.challenge;
    this.found = body.found ?? [];
    this.errors = body.errors ?? [];
    this.lines = body.lines ?? [];
    this.wrong = body.wrong ?? 0;
    this.part = body.part ?? null;
    this.current = body.current;
    this.etag = headers.get("ETag");
    const seconds = Number(headers.get("Retry-After"));
    this.retryAfter = seconds > 0 ? seconds : null;
    this.requestId = body.request_id ?? headers.get("X-Request-ID");
  }
}

/** What a proxy refuses has a status, and no code. */
const BY_STATUS: Record<number, string> = { 413: "body_too_large", 429: "busy" };

interface ProblemBody {
  detail: string;
  code: string;
  errors: Pointed[];
  lines: CsvFault[];
  wrong: number;
  part: number;
  current: Record<string, Json>;
  request_id: string;
  reason: string | null;
  challenge: Challenge;
  found: string[];
}

/** The server was not reached, or its answer got lost. */
export class Offline extends Error {
  readonly code = "offline";
}

export type Failure = Problem | Offline;

export function isFailure(error: unknown): error is Failure {
  return error instanceof Problem || error instanceof Offline;
}

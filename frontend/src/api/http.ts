// One way to call the API: names the tenant, proves that the page asks, repeats what may be repeated, and asks for the
// password in place when the session has expired.

import type { Json } from "./json";
import { Offline, Problem } from "./problem";

export const PREFIX = "/api/v1";
const PAUSES = [300, 1200]; // milliseconds before a read is repeated

export interface Asked {
  /** The slug of the tenant. A call about the person names none. */
  tenant?: string | undefined;
  body?: Json | undefined;
  headers?: Record<string, string> | undefined;
  signal?: AbortSignal | undefined;
}

export interface Answer<T> {
  status: number;
  data: T;
  etag: string | null;
}

/** What the calls need to know of the person, and what they do when the session does not hold any more. */
interface Guard {
  csrfToken(): string | undefined;
  /** Read the session again, because its token has changed. */
  renew(tenant: string | undefined): Promise<void>;
  /** Ask for the password. Resolves to whether the person has signed in again. */
  signInAgain(): Promise<boolean>;
}

let guard: Guard = {
  csrfToken: () => undefined,
  renew: () => Promise.resolve(),
  signInAgain: () => Promise.resolve(false),
};

export function guardCalls(by: Guard): void {
  guard = by;
}

/** Make a call. Throws `Problem` or `Offline`; an aborted call throws what `fetch` throws. */
export async function call<T>(method: string, path: string, asked: Asked = {}): Promise<Answer<T>> {
  try {
    return await sendOnce<T>(method, path, asked);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.code === "not_signed_in" && (await guard.signInAgain())) return sendOnce<T>(method, path, asked);
    if (error.code === "csrf_failed") {
      await guard.renew(asked.tenant);
      return sendOnce<T>(method, path, asked);
    }
    throw error;
  }
}

async function sendOnce<T>(method: string, path: string, asked: Asked): Promise<Answer<T>> {
  const response = await reach(method, path, asked);
  const text = response.status === 204 ? "" : await response.text();
  const data: unknown = text === "" ? null : parse(text);
  if (!response.ok) throw new Problem(response.status, (data ?? {}) as object, response.headers);
  return { status: response.status, data: data as T, etag: response.headers.get("ETag") };
}

async function reach(method: string, path: string, asked: Asked): Promise<Response> {
  const request: RequestInit = { method, headers: headersOf(method, asked), cache: "no-store" };
  if (asked.body !== undefined) request.body = JSON.stringify(asked.body);
  if (asked.signal) request.signal = asked.signal;
  // A change is never repeated blindly: whoever sends it again sends the same Idempotency-Key.
  const pauses = method === "GET" ? [...PAUSES] : [];
  for (;;) {
    try {
      return await fetch(path, request);
    } catch (error) {
      if (asked.signal?.aborted) throw error;
      const pause = pauses.shift();
      if (pause === undefined) throw new Offline();
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

function headersOf(method: string, asked: Asked): Record<string, string> {
  const headers: Record<string, string> = { Accept: "application/json", ...asked.headers };
  // What is no slug is refused by the server; not every text can be a header.
  if (asked.tenant !== undefined) headers["X-Tenant"] = encodeURIComponent(asked.tenant);
  if (asked.body !== undefined) headers["Content-Type"] = "application/json";
  const token = method === "GET" ? undefined : guard.csrfToken();
  if (token !== undefined) headers["X-CSRF-Token"] = token;
  return headers;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return {}; // a proxy between us and the server has answered
  }
}

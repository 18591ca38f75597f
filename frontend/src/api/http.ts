// One way to call the API: names the tenant, proves that the page asks, repeats what may be repeated, and asks in place
// who the person is when the session has expired, or is too old for what is wanted.

import { shallowRef } from "vue";

import { type Json, readJson, writeJson } from "./json";
import { Offline, Problem } from "./problem";

export const PREFIX = "/api/v1";
const PAUSES = [300, 1200]; // milliseconds before a read is repeated
const OF_PROXIES = [502, 503, 504];

/** The address of something that the browser fetches by itself, so the address names the tenant. */
export function addressIn(tenant: string, path: string): string {
  return `${PREFIX}/t/${encodeURIComponent(tenant)}${path}`;
}

/** An address with those parameters that are not empty. */
export function addressWith(path: string, query: Readonly<Record<string, string>>): string {
  const filled = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ""));
  return filled.size > 0 ? `${path}?${filled}` : path;
}

export interface Asked {
  /** The slug of the tenant. A call about the person names none. */
  tenant?: string | undefined;
  body?: Json | undefined;
  /** A body that is sent as it is, in the place of `body`. `headers` have its type. */
  raw?: Blob | undefined;
  /** How the request is sent, where `fetch` does not do. */
  send?: ((path: string, request: RequestInit) => Promise<Response>) | undefined;
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
  /** Ask the person to sign in. Resolves to whether they have. */
  signInAgain(): Promise<boolean>;
  /** Ask the person to prove that it is still them. Resolves to whether they have. */
  proveAgain(): Promise<boolean>;
}

let guard: Guard = {
  csrfToken: () => undefined,
  renew: () => Promise.resolve(),
  signInAgain: () => Promise.resolve(false),
  proveAgain: () => Promise.resolve(false),
};

export function guardCalls(by: Guard): void {
  guard = by;
}

/** The last call that was refused because of the person's roles, which may have changed since the page read them. */
export const refused = shallowRef<{ tenant: string; code: string }>();
/** The tenant asks for more than the person has proved. */
export const UNPROVED = ["second_factor_required", "single_sign_on_required", "own_sign_in_required"];
const OF_RIGHTS = ["permission_denied", "not_owner", "tenant_forbidden", ...UNPROVED];

/** Make a call. Throws `Problem` or `Offline`; an aborted call throws what `fetch` throws. */
export async function call<T>(method: string, path: string, asked: Asked = {}): Promise<Answer<T>> {
  try {
    return await sendOnce<T>(method, path, asked);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.code === "not_signed_in" && (await guard.signInAgain())) return sendOnce<T>(method, path, asked);
    if (error.code === "reauthentication_required" && (await guard.proveAgain())) return sendOnce<T>(method, path, asked);
    if (error.code === "csrf_failed") {
      await guard.renew(asked.tenant);
      return sendOnce<T>(method, path, asked);
    }
    if (asked.tenant !== undefined && OF_RIGHTS.includes(error.code)) {
      refused.value = { tenant: asked.tenant, code: error.code };
    }
    throw error;
  }
}

async function sendOnce<T>(method: string, path: string, asked: Asked): Promise<Answer<T>> {
  const response = await reach(method, path, asked);
  const text = response.status === 204 ? "" : await textOf(response, asked);
  const data: unknown = text === "" ? null : parse(text);
  if (!response.ok) throw new Problem(response.status, (data ?? {}) as object, response.headers);
  if (data === undefined) throw new Offline(); // somebody between us and the server has answered
  return { status: response.status, data: data as T, etag: response.headers.get("ETag") };
}

async function textOf(response: Response, asked: Asked): Promise<string> {
  try {
    return await response.text();
  } catch (error) {
    if (asked.signal?.aborted) throw error;
    throw new Offline(); // the connection ended in the middle
  }
}

async function reach(method: string, path: string, asked: Asked): Promise<Response> {
  const request: RequestInit = { method, headers: headersOf(method, asked), cache: "no-store" };
  if (asked.body !== undefined) request.body = writeJson(asked.body);
  if (asked.raw) request.body = asked.raw;
  if (asked.signal) request.signal = asked.signal;
  // A change is never repeated blindly: whoever sends it again sends the same Idempotency-Key.
  const pauses = method === "GET" ? [...PAUSES] : [];
  for (;;) {
    const response = await reachOnce(path, request, asked.send ?? fetch);
    if (response) return response;
    const pause = pauses.shift();
    if (pause === undefined) throw new Offline();
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Undefined if nobody answers, or only a proxy for a server that does not. */
async function reachOnce(path: string, request: RequestInit, send: NonNullable<Asked["send"]>): Promise<Response | undefined> {
  try {
    const response = await send(path, request);
    const isOurs = response.headers.get("Content-Type")?.includes("json") ?? false;
    return OF_PROXIES.includes(response.status) && !isOurs ? undefined : response;
  } catch (error) {
    if (request.signal?.aborted) throw error;
    return undefined;
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
    return readJson(text);
  } catch {
    return undefined;
  }
}

// What a builder's own component is given. It is public: docs/resources.md describes it, and `version` counts its changes.

import { call, PREFIX } from "../api/http";
import type { Json } from "../api/json";
import { isFailure } from "../api/problem";
import { session } from "../api/session";
import { language, locale } from "../strings/language";
import { sentenceOf } from "./failure";
import type { Described, Resource } from "./resource";
import { say } from "./toasts";
import type { Workspace } from "./workspace";

export const CHANGED = "rows-changed"; // the event that tells the element to read its rows again
const VERSION = 1;

interface Options {
  query?: Record<string, string | number | boolean>;
  body?: Json;
  /** Sent as `If-Match`. */
  etag?: string | null;
  /** The `Idempotency-Key`, to send the same change again; null for a call that takes none. */
  key?: string | null;
  signal?: AbortSignal;
}

interface Called {
  status: number;
  data: unknown;
  etag: string | null;
}

export interface Given {
  readonly version: number;
  readonly workspace: { slug: string; name: string };
  readonly resource: Described;
  readonly permissions: readonly string[];
  readonly person: { id: string; login: string; name: string };
  readonly language: string;
  readonly locale: string;
  call: (method: string, path: string, options?: Options) => Promise<Called>;
  open: (id?: string) => void;
  go: (path: string) => void;
  say: (what: unknown) => void;
}

/** What the page does for the element that only it can. */
export interface Doing {
  open: (id?: string) => void;
  go: (path: string) => void;
  /** A call has failed. If the element does not catch that, the page says so. */
  failed: (error: unknown) => void;
}

export function givenTo(workspace: Workspace, resource: Resource, doing: Doing): Given {
  const { slug, name, permissions, person } = workspace;
  const user = session.value?.user;
  return Object.freeze({
    version: VERSION,
    workspace: { slug, name },
    resource: structuredClone(resource.described),
    permissions: [...permissions],
    person: { id: person, login: user?.login ?? "", name: user?.name ?? "" },
    language,
    locale,
    call: callIn(slug, doing.failed),
    open: doing.open,
    go: doing.go,
    say: (what: unknown) => say(isFailure(what) ? sentenceOf(what) : String(what)),
  });
}

function callIn(tenant: string, failed: Doing["failed"]): Given["call"] {
  return async (method, path, options = {}) => {
    try {
      return await call<unknown>(method, addressOf(path, options.query), {
        tenant,
        body: options.body,
        headers: headersOf(method, options),
        signal: options.signal,
      });
    } catch (error) {
      failed(error);
      throw error;
    }
  };
}

export function addressOf(path: string, query: Options["query"]): string {
  if (!path.startsWith("/")) throw new TypeError(`The path of a call begins with a slash, as in /books: ${path}`);
  const pairs = Object.entries(query ?? {}).map(([name, value]) => [name, String(value)]);
  return PREFIX + path + (pairs.length > 0 ? `?${new URLSearchParams(pairs)}` : "");
}

export function headersOf(method: string, { etag, key }: Options): Record<string, string> {
  const headers: Record<string, string> = {};
  if (etag !== undefined && etag !== null) headers["If-Match"] = etag;
  if (method !== "GET" && key !== null) headers["Idempotency-Key"] = key ?? crypto.randomUUID();
  return headers;
}

/** Import the module, and make its element. Throws whatever is wrong with it. */
export async function makeElement(address: string): Promise<HTMLElement & { page?: Given }> {
  const module = (await import(/* @vite-ignore */ address)) as { default?: new () => unknown };
  if (typeof module.default !== "function") throw new TypeError(`${address} exports no element as its default`);
  const element = new module.default();
  if (!(element instanceof HTMLElement)) throw new TypeError(`What ${address} exports is no element`);
  return element;
}

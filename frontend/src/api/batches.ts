// Calls about several rows, sent as batches: all parts of a batch are carried out, or none.

import { call, PREFIX } from "./http";
import { fromApi, toApi } from "./ids";
import type { Json, Row } from "./json";
import { type At, pathOf, type Versioned } from "./rows";

export interface Part {
  method: "GET" | "PATCH" | "DELETE" | "PUT";
  id: string;
  /** The version that it is for. `new`: there must be no row with this id. */
  etag: string | null;
  body?: Record<string, Json>;
}

interface PartAnswer {
  headers: Record<string, string>;
  body: Row;
}

/** Carry out the parts, and return the rows that are answered. The same key sends the same change again. */
export async function sendParts(at: At, parts: readonly Part[], key: string): Promise<Versioned[]> {
  const requests = parts.map(({ method, id, etag, body }) => ({
    method,
    path: pathOf(at, id).replace(PREFIX, ""),
    headers: conditionOf(etag),
    ...(body ? { body: toApi(at.resource, body) } : {}),
  }));
  const { data } = await call<{ responses: PartAnswer[] }>("POST", `${PREFIX}/batch`, {
    tenant: at.tenant,
    body: { requests },
    // What only reads keeps no answer, and waits for nobody who writes.
    headers: parts.every(({ method }) => method === "GET") ? {} : { "Idempotency-Key": key },
  });
  return data.responses.map(({ body, headers }) => ({ row: body && fromApi(at.resource, body), etag: headers.ETag ?? null }));
}

function conditionOf(etag: string | null): Record<string, string> {
  if (etag === null) return {};
  return etag === "new" ? { "If-None-Match": "*" } : { "If-Match": etag };
}

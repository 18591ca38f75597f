// Files on their way to the server. `fetch` does not tell how much of a body has been sent, so these are sent by
// XMLHttpRequest.

import type { File as Kept, PostFilesData } from "../../generated/api/types.gen";
import { call, type Asked } from "./http";
import type { At } from "./rows";

const FILES: PostFilesData["url"] = "/api/v1/files";
type Send = NonNullable<Asked["send"]>;

/** How a file is sent: what is told of its progress, from 0 to 1, and what may stop it. */
export interface Sending {
  onSent: (part: number) => void;
  signal: AbortSignal;
}

/** Send a file. The same key sends the same file again, and it is kept once. */
export async function uploadFile(tenant: string, file: File, key: string, sending: Sending): Promise<Kept> {
  const headers = { "Content-Type": file.type || "application/octet-stream", "Idempotency-Key": key };
  const path = `${FILES}?${new URLSearchParams({ name: file.name })}`;
  return (await call<Kept>("POST", path, { tenant, raw: file, headers, ...by(sending) })).data;
}

/** Add the rows of a CSV file, or with `dryRun` only check them. Return how many there are. */
export async function importCsv(at: At, file: Blob, dryRun: boolean, key: string, sending: Sending): Promise<number> {
  const made = await call<{ created: number }>("POST", `${at.resource.path}/import?dry_run=${dryRun}`, {
    tenant: at.tenant,
    raw: file,
    headers: { "Content-Type": "text/csv", ...(dryRun ? {} : { "Idempotency-Key": key }) },
    ...by(sending),
  });
  return made.data.created;
}

function by({ onSent, signal }: Sending): Pick<Asked, "send" | "signal"> {
  return { send: sendTelling(onSent), signal };
}

function sendTelling(onSent: Sending["onSent"]): Send {
  return (path, { method = "POST", headers, body, signal }) =>
    new Promise((resolve, reject) => {
      const stop = (): void => reject(new DOMException("Stopped.", "AbortError"));
      if (signal?.aborted) return stop(); // no event tells of that any more
      const request = new XMLHttpRequest();
      request.open(method, path);
      for (const [name, value] of Object.entries(headers as Record<string, string>)) request.setRequestHeader(name, value);
      request.upload.onprogress = ({ loaded, total }) => onSent(total > 0 ? loaded / total : 1);
      request.onload = () => resolve(responseOf(request));
      request.onerror = () => reject(new TypeError("The server was not reached."));
      request.onabort = stop;
      signal?.addEventListener("abort", () => request.abort(), { once: true });
      request.send(body as Blob);
    });
}

function responseOf(request: XMLHttpRequest): Response {
  const lines = request.getAllResponseHeaders().trim().split("\r\n");
  const headers = lines.map((line): [string, string] => {
    const at = line.indexOf(":");
    return [line.slice(0, at), line.slice(at + 1).trim()];
  });
  return new Response(request.responseText || null, { status: request.status, headers });
}

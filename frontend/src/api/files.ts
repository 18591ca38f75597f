// The calls about the files of a tenant.

import type { DeleteFileData, File as Kept, FilePage, GetFilesData } from "../../generated/api/types.gen";
import { addressIn, call, PREFIX } from "./http";

const FILES: GetFilesData["url"] = "/api/v1/files";
const FILE: DeleteFileData["url"] = "/api/v1/files/{id}";
const MOST = 100;

export type { Kept };

/** What is known of files. Those that are gone are left out. */
export async function readFiles(tenant: string, ids: readonly string[]): Promise<Kept[]> {
  const found: Kept[] = [];
  for (let start = 0; start < ids.length; start += MOST) {
    const query = new URLSearchParams({ ids: ids.slice(start, start + MOST).join(","), limit: String(MOST) });
    found.push(...(await call<FilePage>("GET", `${FILES}?${query}`, { tenant })).data.items);
  }
  return found;
}

export async function deleteFile(tenant: string, id: string): Promise<void> {
  await call("DELETE", FILE.replace("{id}", id), { tenant });
}

/** The address of the content of a file. */
export function fileAddress(tenant: string, id: string): string {
  return addressIn(tenant, `${FILE.replace(PREFIX, "").replace("{id}", encodeURIComponent(id))}/content`);
}

// Files that are uploaded for a row before it is saved.

import { inject, type InjectionKey, provide, ref, type Ref } from "vue";

import { deleteFile, type Kept } from "../api/files";
import { Offline } from "../api/problem";
import type { Sending } from "../api/uploads";
import { useWorkspace } from "./workspace";

export interface Uploads {
  /** How many files are on their way. Nothing is saved meanwhile. */
  running: Ref<number>;
  upload: (file: File, sending: Sending) => Promise<Kept>;
  /** Delete what was uploaded and is not needed, because the row was not saved, or with another file. */
  drop: (kept?: readonly unknown[]) => void;
}

const UPLOADS: InjectionKey<Uploads> = Symbol("uploads");

/** The uploads of a form, which its fields find by `formUploads`. */
export function useUploads(): Uploads {
  const tenant = useWorkspace().value.slug;
  const running = ref(0);
  const unsaved = new Set<string>();

  async function upload(file: File, sending: Sending): Promise<Kept> {
    running.value += 1;
    try {
      await file.slice(0, 1).arrayBuffer(); // what cannot be read would look like a lost connection
      const part = await import("../api/uploads").catch(() => undefined); // few rows have files
      if (!part) throw new Offline();
      const kept = await part.uploadFile(tenant, file, crypto.randomUUID(), sending);
      unsaved.add(kept.id);
      return kept;
    } finally {
      running.value -= 1;
    }
  }

  function drop(kept: readonly unknown[] = []): void {
    for (const id of unsaved) if (!kept.includes(id)) deleteFile(tenant, id).catch(() => undefined);
    unsaved.clear();
  }

  const uploads = { running, upload, drop };
  provide(UPLOADS, uploads);
  return uploads;
}

export function formUploads(): Uploads {
  const uploads = inject(UPLOADS);
  if (!uploads) throw new Error("outside a form");
  return uploads;
}

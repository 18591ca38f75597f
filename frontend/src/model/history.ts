// What the changes of a row tell beside themselves.

import type { RowChange } from "../../generated/api/types.gen";

/** Whether the row has changed since this version of it was read. Rows without versions do not tell. */
export function isBehind(changes: readonly RowChange[], version: number | null): boolean {
  const [newest] = changes;
  if (!newest || version === null) return false;
  return newest.kind === "deleted" || (newest.version !== null && newest.version > version);
}

/** A row that was put back begins at a number far beyond those that it had, which tells nobody anything. */
const MOST_TOLD = 1_000_000;

export function isTold({ kind, version }: RowChange): boolean {
  return kind !== "deleted" && version !== null && version <= MOST_TOLD;
}

/** Whether the beginning is missing: the oldest change that is kept is not that which made the row. */
export function isCut(changes: readonly RowChange[], next: string | null): boolean {
  const oldest = changes.at(-1);
  return next === null && oldest !== undefined && oldest.kind !== "created";
}

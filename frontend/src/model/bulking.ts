// A change or delete of the rows that a person has chosen, from the first look at them to what became of each.

import { computed, type ComputedRef, ref, type Ref, shallowRef, type ShallowRef, triggerRef } from "vue";

import { type Part, sendParts } from "../api/batches";
import type { Json, Row } from "../api/json";
import type { Failure, Problem } from "../api/problem";
import type { At, Versioned } from "../api/rows";
import { b } from "../strings/bulk";
import { carryOut, type Work, workOn } from "./bulk";
import { changed } from "./changed";
import { asFailure, sentenceOf } from "./failure";
import { titleOf } from "./resource";

type Phase = "reading" | "ready" | "running" | "stopped" | "done";

/** Rows of one fate, by the sentence that says why. */
export type Reasons = Map<string, Row[]>;

export interface Bulk {
  phase: Ref<Phase>;
  /** The rows as they are now, those that will be worked on. */
  targets: ShallowRef<Versioned[]>;
  /** Those that will not. */
  leftOut: ShallowRef<Reasons>;
  refused: ComputedRef<Reasons>;
  untried: ComputedRef<number>;
  done: ComputedRef<Versioned[]>;
  failure: Ref<Failure | undefined>;
  read: () => Promise<void>;
  run: (partOf: (target: Versioned) => Part) => Promise<void>;
  /** Go on where it was stopped. */
  resume: () => Promise<void>;
}

interface Wanted extends Part {
  target: Versioned;
}

/** `seen` are the rows as they were chosen. */
export function useBulk(at: At, seen: readonly Row[], mayChange: (row: Row) => boolean): Bulk {
  const phase = ref<Phase>("reading");
  const targets = shallowRef<Versioned[]>([]);
  const leftOut = shallowRef<Reasons>(new Map());
  const failure = shallowRef<Failure>();
  const work = shallowRef<Work<Wanted, Versioned>>(workOn([]));

  async function read(): Promise<void> {
    failure.value = undefined;
    phase.value = "reading";
    const reading = workOn<Part, Versioned>(seen.map(({ id }) => ({ method: "GET", id, etag: null })));
    try {
      await carryOut(reading, (parts, key) => sendParts(at, parts, key), () => undefined);
    } catch (error) {
      failure.value = asFailure(error);
      return;
    }
    const found = new Map(reading.done.map(({ part, result }) => [part.id, result]));
    [targets.value, leftOut.value] = sorted(found);
    phase.value = "ready";
  }

  function sorted(found: ReadonlyMap<string, Versioned | undefined>): [Versioned[], Reasons] {
    const good: Versioned[] = [];
    const others: Reasons = new Map();
    for (const row of seen) {
      const now = found.get(row.id);
      const reason = reasonAgainst(row, now);
      if (reason === undefined && now) good.push(now);
      else others.set(reason ?? "", [...(others.get(reason ?? "") ?? []), row]);
    }
    return [good, others];
  }

  function reasonAgainst(before: Row, now: Versioned | undefined): string | undefined {
    const { version } = at.resource;
    if (!now) return b.gone;
    if (!mayChange(now.row)) return b.notYours;
    return version !== null && version in before && before[version] !== now.row[version] ? b.changedSince : undefined;
  }

  async function run(partOf: (target: Versioned) => Part): Promise<void> {
    work.value = workOn(targets.value.map((target) => ({ ...partOf(target), target })));
    await resume();
  }

  async function resume(): Promise<void> {
    failure.value = undefined;
    phase.value = "running";
    try {
      await carryOut(work.value, (parts, key) => sendParts(at, parts, key), () => triggerRef(work));
      phase.value = "done";
    } catch (error) {
      failure.value = asFailure(error);
      phase.value = "stopped";
    }
    triggerRef(work);
    if (work.value.done.length > 0) changed.value += 1;
  }

  const refused = computed(() => {
    const reasons: Reasons = new Map();
    for (const { part, problem } of work.value.refused) {
      const reason = reasonOf(problem);
      reasons.set(reason, [...(reasons.get(reason) ?? []), part.target.row]);
    }
    return reasons;
  });

  return {
    phase,
    targets,
    leftOut,
    refused,
    untried: computed(() => work.value.untried.length),
    done: computed(() => work.value.done.map(({ part }) => part.target)),
    failure,
    read,
    run,
    resume,
  };
}

function reasonOf(problem: Problem): string {
  return problem.errors[0]?.detail ?? sentenceOf(problem);
}

interface Restored {
  back: number;
  failure: Failure | undefined;
}

/** Put deleted rows back, the last one first: it may be what others refer to. */
export async function restore(
  at: At,
  deleted: readonly Versioned[],
  contentOf: (row: Row) => Record<string, Json>,
): Promise<Restored> {
  const parts = deleted.toReversed().map(({ row }): Part => ({ method: "PUT", id: row.id, etag: "new", body: contentOf(row) }));
  const work = workOn<Part, Versioned>(parts);
  let failure: Failure | undefined;
  try {
    await carryOut(work, (some, key) => sendParts(at, some, key), () => undefined);
  } catch (error) {
    failure = asFailure(error);
  }
  if (work.done.length > 0) changed.value += 1;
  return { back: work.done.length, failure };
}

export function titlesOf(at: At, rows: readonly Row[]): string {
  const most = 5;
  const titles = rows.slice(0, most).map((row) => titleOf(at.resource, row));
  return b.titles(titles, rows.length - titles.length);
}

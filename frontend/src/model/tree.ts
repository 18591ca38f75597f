// The rows of a resource as a tree. The rows below one are read when it is opened, a page at a time.

import { onScopeDispose, ref, type Ref, shallowReactive } from "vue";

import { type Asked, type Branches, haveChildren, readBranches, ROOTS } from "../api/branches";
import type { Row } from "../api/json";
import type { Failure } from "../api/problem";
import { readRow } from "../api/rows";
import { asFailure, isAborted, sentenceOf } from "./failure";
import { keepOpened, openedRows } from "./opened";
import { say } from "./toasts";

const PAGE = 50;
const MOST = 500;
const DEEPEST = 500; // levels; a tree that refers to itself has no end

export interface Branch {
  rows: Row[];
  next: string | null;
}

export interface RowTree {
  /** By the id of the row above. What is missing has not been read. */
  branches: ReadonlyMap<string, Branch>;
  open: ReadonlySet<string>;
  /** The rows that have others below them. */
  parents: ReadonlySet<string>;
  failure: Ref<Failure | undefined>;
  /** Read again all that is open. */
  load: () => Promise<void>;
  toggle: (id: string) => Promise<void>;
  more: (parent: string) => Promise<void>;
  /** Open what is above a row, so that it is seen. */
  reveal: (id: string) => Promise<void>;
}

/** `of` says which rows, at the time of each call; `address` is where what was opened is kept. */
export function useTree(of: () => Branches, address: string): RowTree {
  const branches = shallowReactive(new Map<string, Branch>());
  const open = shallowReactive(new Set(openedRows(address)));
  const parents = shallowReactive(new Set<string>());
  const failure = ref<Failure>();
  const running = new AbortController();
  let last: Promise<unknown> = Promise.resolve();

  /** One after the other: none writes over what another has just read. */
  function inTurn(work: () => Promise<void>): Promise<void> {
    const done = last.then(work);
    last = done.catch(() => undefined);
    return done;
  }

  async function read(asked: Asked[]): Promise<void> {
    const at = { ...of(), signal: running.signal };
    const pages = await readBranches(at, asked);
    asked.forEach(({ parent, cursor }, index) => {
      const before = cursor === undefined ? [] : (branches.get(parent)?.rows ?? []);
      const page = pages[index];
      if (page) branches.set(parent, { rows: [...before, ...page.items], next: page.next });
    });
    await mark(at, pages.flatMap((page) => page.items.map((row) => row.id)));
  }

  async function mark(at: Branches, ids: string[]): Promise<void> {
    if (ids.length === 0) return;
    const found = await haveChildren(at, ids);
    for (const id of ids) {
      if (found.has(id)) parents.add(id);
      else if (parents.delete(id) || open.has(id)) open.delete(id);
    }
  }

  async function readAll(): Promise<void> {
    // What is closed is read when it is opened again.
    for (const parent of [...branches.keys()]) if (parent !== ROOTS && !open.has(parent)) branches.delete(parent);
    const asked = [ROOTS, ...open].map((parent) => ({ parent, limit: sizeOf(branches.get(parent)) }));
    await read(asked);
  }

  /** Somebody has moved what is shown at two places now: it is not told which of them is the former one. */
  async function readSettled(asked: Asked[]): Promise<void> {
    await read(asked);
    if (hasTwice(branches)) await readAll();
  }

  async function load(): Promise<void> {
    failure.value = undefined;
    try {
      await inTurn(readAll);
    } catch (error) {
      if (!isAborted(error)) failure.value = asFailure(error);
    }
  }

  /** What fails below leaves the rest of the tree as it is. */
  async function attempt(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (!isAborted(error)) say(sentenceOf(asFailure(error)));
      return false;
    }
  }

  async function toggle(id: string): Promise<void> {
    const isOpen = open.delete(id);
    if (!isOpen) open.add(id);
    keepOpened(address, open);
    if (isOpen) return;
    const isRead = await attempt(() => inTurn(() => readSettled([{ parent: id, limit: sizeOf(branches.get(id)) }])));
    if (!isRead && !branches.has(id)) open.delete(id);
  }

  async function more(parent: string): Promise<void> {
    const readNext = async (): Promise<void> => {
      const cursor = branches.get(parent)?.next;
      if (cursor) await readSettled([{ parent, limit: PAGE, cursor }]);
    };
    await attempt(() => inTurn(readNext));
  }

  function find(id: string): Row | undefined {
    for (const { rows } of branches.values()) {
      const found = rows.find((row) => row.id === id);
      if (found) return found;
    }
    return undefined;
  }

  async function reveal(id: string): Promise<void> {
    const at = of();
    const above = await pathTo(id, at.resource.tree?.member ?? "", async (each) => find(each) ?? (await readRow(at, each)).row);
    for (const each of above) open.add(each);
    keepOpened(address, open);
    await inTurn(() => readAbove(id, above));
  }

  async function readAbove(id: string, above: string[]): Promise<void> {
    const missing = above.filter((each) => !branches.has(each));
    if (missing.length > 0) await readSettled(missing.map((parent) => ({ parent, limit: PAGE })));
    const parent = above[0] ?? ROOTS;
    const branch = branches.get(parent);
    if (branch?.next && !branch.rows.some((row) => row.id === id)) await read([{ parent, limit: MOST }]);
  }

  onScopeDispose(() => running.abort());
  return { branches, open, parents, failure, load, toggle, more, reveal: async (id) => void (await attempt(() => reveal(id))) };
}

/** As many rows as are shown, and at least a page. */
export function sizeOf(branch: Branch | undefined): number {
  return Math.min(Math.max(PAGE, branch?.rows.length ?? 0), MOST);
}

/** Whether some row is in two branches, or twice in one. */
export function hasTwice(branches: ReadonlyMap<string, Branch>): boolean {
  const ids = [...branches.values()].flatMap(({ rows }) => rows.map((row) => row.id));
  return new Set(ids).size < ids.length;
}

/** The ids of the rows above one, the nearest first. */
export async function pathTo(id: string, member: string, rowOf: (id: string) => Promise<Row>): Promise<string[]> {
  const above: string[] = [];
  for (let at = id; above.length < DEEPEST; ) {
    const parent = (await rowOf(at))[member];
    if (typeof parent !== "string" || above.includes(parent)) break;
    above.push(parent);
    at = parent;
  }
  return above;
}

export type Step = "up" | "down" | "in" | "out" | "first" | "last";

/** What a key does in a tree. In a language from right to left, what is below is at the left. */
export function stepOf(key: string, isRightToLeft: boolean): Step | undefined {
  const sides: [Step, Step] = isRightToLeft ? ["out", "in"] : ["in", "out"];
  const steps: Record<string, Step> = {
    ArrowUp: "up",
    ArrowDown: "down",
    ArrowRight: sides[0],
    ArrowLeft: sides[1],
    Home: "first",
    End: "last",
  };
  return Object.hasOwn(steps, key) ? steps[key] : undefined;
}

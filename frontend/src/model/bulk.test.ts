import { describe, expect, it } from "vitest";

import type { Row } from "../api/json";
import { Offline, Problem } from "../api/problem";
import { carryOut, type Send, workOn } from "./bulk";
import { bodyFor, bulkFields, checkChanges, type FieldChange, startOf } from "./bulkfields";
import { fieldOf } from "./field";
import type { Resource } from "./resource";
import { between, useSelection } from "./selection";

function refusal(status: number, code: string, part?: number, detail = ""): Problem {
  const errors = detail ? [{ pointer: "/x", detail }] : [];
  return new Problem(status, { code, errors, ...(part === undefined ? {} : { part }) }, new Headers());
}

/** A server: a batch is carried out as a whole, or fails with the refusal of its first bad part. */
function server(refuse: (part: number, done: ReadonlySet<number>) => Problem | undefined, most = 100) {
  const done = new Set<number>();
  const calls: { size: number; key: string }[] = [];
  const send: Send<number, number> = async (parts, key) => {
    calls.push({ size: parts.length, key });
    if (parts.length > most) throw refusal(413, "batch_too_large");
    const before = new Set(done);
    for (const [index, part] of parts.entries()) {
      const problem = refuse(part, before);
      if (problem) throw refusal(problem.status, problem.code, index, problem.errors[0]?.detail);
      before.add(part);
    }
    for (const part of parts) done.add(part);
    return parts.map((part) => part * 10);
  };
  return { done, calls, send };
}

const many = Array.from({ length: 250 }, (_, index) => index);
const quiet = () => undefined;

describe("work on several rows", () => {
  it("is sent in batches, each with a key of its own", async () => {
    const { done, calls, send } = server(() => undefined);
    const work = workOn<number, number>(many);
    await carryOut(work, send, quiet);
    expect(calls.map((each) => each.size)).toEqual([100, 100, 50]);
    expect(new Set(calls.map((each) => each.key)).size).toBe(3);
    expect(done.size).toBe(250);
    expect(work.done.every(({ part, result }) => result === part * 10)).toBe(true);
  });

  it("goes on after a batch that was carried out, and whose answer got lost and was too large to keep", async () => {
    const { calls, done, send } = server(() => undefined);
    const work = workOn<number, number>(many);
    const lost: Send<number, number> = async (parts, key) => {
      if (calls.length === 1 && calls[0]?.key === key) throw refusal(409, "answer_not_kept");
      const results = await send(parts, key);
      if (calls.length === 1) throw new Offline();
      return results;
    };
    await expect(carryOut(work, lost, quiet)).rejects.toBeInstanceOf(Offline);
    await carryOut(work, lost, quiet);
    expect(done.size).toBe(250);
    expect(work.done.map(({ part }) => part)).toEqual(many);
  });

  it("goes on without the rows that are refused, and names them with the reason", async () => {
    const bad = new Set([3, 4, 120, 249]);
    const { done, send } = server((part) => (bad.has(part) ? refusal(412, "version_mismatch") : undefined));
    const work = workOn<number, number>(many);
    await carryOut(work, send, quiet);
    expect(work.refused.map(({ part, problem }) => [part, problem.code])).toEqual(
      [...bad].map((part) => [part, "version_mismatch"]),
    );
    expect([...done].sort((one, other) => one - other)).toEqual(many.filter((part) => !bad.has(part)));
    expect(work.done.length + work.refused.length).toBe(250);
  });

  it("halves a batch that is too large, and refuses a row that is too large alone", async () => {
    const { done, send } = server((part) => (part === 7 ? refusal(413, "batch_too_large") : undefined), 30);
    const work = workOn<number, number>(many.slice(0, 100));
    await carryOut(work, send, quiet);
    expect(done.size).toBe(99);
    expect(work.refused.map(({ part }) => part)).toEqual([7]);
  });

  it("stops at what concerns all, and goes on later with the same key", async () => {
    const { done, calls, send } = server(() => undefined);
    const work = workOn<number, number>(many);
    let fail = true;
    const flaky: typeof send = async (parts, key) => {
      const answer = await send(parts, key);
      if (fail && parts[0] === 100) {
        fail = false;
        throw new Offline(); // it was carried out, and the answer got lost
      }
      return answer;
    };
    await expect(carryOut(work, flaky, quiet)).rejects.toBeInstanceOf(Offline);
    expect(work.done.length).toBe(100);
    await carryOut(work, flaky, quiet);
    expect(work.done.length).toBe(250);
    expect(calls[1]?.key).toBe(calls[2]?.key);
    expect(done.size).toBe(250);
  });

  it("does not send each row to be told the same", async () => {
    const denied = server(() => refusal(403, "permission_denied"));
    const work = workOn<number, number>(many);
    await expect(carryOut(work, denied.send, quiet)).rejects.toMatchObject({ code: "permission_denied" });
    expect(denied.calls).toHaveLength(1);
    const wrong = server(() => refusal(422, "invalid", 0, "Thirteen brings bad luck."));
    const other = workOn<number, number>(many);
    await carryOut(other, wrong.send, quiet);
    expect([other.refused.length, other.untried.length, wrong.calls.length]).toEqual([3, 247, 3]);
    const each = server((part) => refusal(422, "invalid", 0, `Not ${part}.`));
    const third = workOn<number, number>([1, 2, 3, 4, 5]);
    await carryOut(third, each.send, quiet);
    expect([third.refused.length, third.untried.length]).toEqual([5, 0]);
  });

  it("deletes what others refer to once they are gone", async () => {
    // Each is the parent of the next one, and stands first in the list.
    const { done, send } = server((part, gone) =>
      part < 4 && !gone.has(part + 1) ? refusal(409, "node_has_children") : undefined,
    );
    const work = workOn<number, number>([0, 1, 2, 3, 4]);
    await carryOut(work, send, quiet);
    expect([...done].sort()).toEqual([0, 1, 2, 3, 4]);
    expect(work.refused).toEqual([]);
    const stuck = server((part) => (part === 1 ? refusal(409, "in_use") : undefined));
    const other = workOn<number, number>([1, 2]);
    await carryOut(other, stuck.send, quiet);
    expect([other.done.length, other.refused.length]).toEqual([1, 1]);
  });
});

describe("the choice of rows", () => {
  const rows = ["a", "b", "c", "d"].map((id): Row => ({ id, version: 1 }));

  it("takes a row, a range in either direction, and never one that may not be changed", () => {
    const { chosen, toggle, add, remove, clear, size } = useSelection((row) => row.id !== "c");
    toggle(rows, "d", false);
    toggle(rows, "b", true);
    expect([...chosen.value.keys()].sort()).toEqual(["b", "d"]);
    toggle(rows, "d", false);
    expect([...chosen.value.keys()]).toEqual(["b"]);
    add(rows);
    remove(rows.slice(0, 1));
    expect(size.value).toBe(2);
    clear();
    toggle(rows, "a", true); // nothing was touched before
    expect([...chosen.value.keys()]).toEqual(["a"]);
    expect(between(rows, "gone", "b").map((row) => row.id)).toEqual(["b"]);
  });

  it("keeps a row as it was seen last", () => {
    const { chosen, toggle, see } = useSelection(() => true);
    toggle(rows, "a", false);
    see([{ id: "a", version: 2 }, { id: "b", version: 2 }]);
    expect([...chosen.value.values()]).toEqual([{ id: "a", version: 2 }]);
  });
});

describe("a change of several rows", () => {
  const hints = { labels: {}, hints: { text: "markdown" }, references: {}, suggests: {} };
  const field = (name: string, schema: object) => fieldOf(name, schema, false, hints, (each) => each);
  const title = field("title", { type: "string" });
  const tags = field("tags", { type: "array", items: { type: "string" }, maxItems: 3 });
  const status = field("status", { enum: ["draft", "published"] });
  const text = field("text", { type: "string" });
  const row: Row = { id: "1", tags: ["a", "b"] };

  function changeOf(given: FieldChange["field"], draft: FieldChange["draft"], how: FieldChange["how"] = "set"): FieldChange {
    return { field: given, draft, how };
  }

  it("is offered for fields that one value makes sense in", () => {
    const resource = { fields: [title, tags, status, text], title: "title" } as unknown as Resource;
    expect(bulkFields(resource).map((each) => each.name)).toEqual(["tags", "status"]);
    expect(startOf(status).draft).toBe("draft");
  });

  it("adds to the lists of the rows, or takes from them", () => {
    const bodyOf = (change: FieldChange) => bodyFor([change], checkChanges([change]).values, row);
    expect(bodyOf(changeOf(tags, ["b", "c"], "add"))).toEqual({ tags: ["a", "b", "c"] });
    expect(bodyOf(changeOf(tags, ["b", "c"], "remove"))).toEqual({ tags: ["a"] });
    expect(bodyOf(changeOf(tags, []))).toEqual({ tags: [] });
    expect(bodyOf(changeOf(status, "published"))).toEqual({ status: "published" });
  });

  it("says what is wrong before anything is sent", () => {
    expect(Object.keys(checkChanges([changeOf(tags, [], "add"), changeOf(status, "draft")]).wrong)).toEqual(["tags"]);
    expect(checkChanges([changeOf(tags, ["1", "2", "3", "4"])]).wrong).toHaveProperty("tags");
  });
});

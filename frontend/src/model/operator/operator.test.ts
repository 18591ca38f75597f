import { describe, expect, it } from "vitest";

import written from "../../../generated/openapi.json?raw";
import type { AuditEntry, FleetOperation, FleetTenant, HourOfUsage, MigrationRun, TenantRows } from "../../api/fleet";
import { en } from "../../strings/en";
import { en as o } from "../../strings/en.operator";
import { csvOf } from "../csv";
import { actionsIn, ACTIONS, areDays, beginWith, limits, missing, needed, NEW, nothing } from "./actions";
import { csvRows, slugsOf, tableOf } from "./answers";
import { changedFilters, filtersOf } from "./listing";
import { curveOf, minutesLeft, outcomeOf, rateOf, rehearsalText, stageLabel } from "./migration";
import { ACTIONS as AUDITED, actionLabel, detailsOf, operationOf } from "./trail";
import { bytesOf, connectionsOf, typedBytes } from "./quotas";
import { askedOf, hoursAgo, hoursCurve, sumsOf } from "./usage";
import { canCancel, canRetry, mayGoWithoutCopy, nextOf, noteOf, stepsOf } from "./operations";

function operation(given: Partial<FleetOperation>): FleetOperation {
  return {
    kind: "clone", state: "running", steps: ["a", "b", "c"], step: "b", arguments: {}, cancel_requested: false, ...given,
  } as FleetOperation;
}

describe("an operation", () => {
  it("shows what became of each step", () => {
    const states = (given: Partial<FleetOperation>): string =>
      stepsOf(operation(given)).map((each) => each.state).join(" ");
    expect(states({})).toBe("done doing waiting");
    expect(states({ state: "queued", step: null })).toBe("waiting waiting waiting");
    expect(states({ state: "succeeded", step: "c" })).toBe("done done done");
    expect(states({ state: "failed" })).toBe("done stopped waiting");
    expect(states({ state: "undoing" })).toBe("done undoing waiting");
    expect(states({ state: "failed", step: null })).toBe("waiting waiting waiting");
    expect(states({ steps: [] })).toBe("");
  });

  it("says what to wait for, and what to do", () => {
    const note = (given: Partial<FleetOperation>): string | undefined => noteOf(operation(given));
    expect([note({}), note({ state: "failed", worker_gone: false })]).toEqual([undefined, undefined]);
    expect(note({ worker_gone: true, worker: "host7:812" })).toContain("(host7:812)");
    expect(note({ state: "queued" })).toBe(o.operation.waiting);
    expect(note({ state: "queued", due_at: "2001-01-01T00:00:00Z" })).toBe(o.operation.waiting);
    expect(note({ state: "queued", due_at: "2999-05-06T12:00:00Z" })).toContain("not begun before May 6, 2999");
    expect(note({ state: "running", due_at: null })).toBeUndefined();
    expect(note({ state: "undoing", cancel_requested: true })).toBe(o.operation.undoing);
    expect(note({ cancel_requested: true })).toBe(o.operation.cancelling);
    expect(nextOf(operation({ state: "failed", step: null }))).toBe(o.operation.undone);
    expect(nextOf(operation({ state: "failed" }))).toBe(o.operation.resumes);
  });

  it("can be tried again when it failed, and cancelled before it ends", () => {
    expect([canRetry(operation({})), canCancel(operation({}))]).toEqual([false, true]);
    expect([canRetry(operation({ state: "failed" })), canCancel(operation({ state: "failed" }))]).toEqual([true, false]);
    expect(canCancel(operation({ cancel_requested: true }))).toBe(false);
    expect(mayGoWithoutCopy(operation({ kind: "delete" }))).toBe(true);
    expect(mayGoWithoutCopy(operation({ kind: "delete", arguments: { copy: false } }))).toBe(false);
    expect(mayGoWithoutCopy(operation({}))).toBe(false);
  });
});

describe("an entry of the audit trail", () => {
  it("is in words, and by its name if a newer server has made it", () => {
    const of = ["tenant.delete", "clone.request", "tenant.paint", "paint.request", "toString.request", "odd"];
    expect(of.map(actionLabel)).toEqual([
      "Deleted the tenant", "Requested: Clone", "tenant.paint", "paint.request", "toString.request", "odd",
    ]);
    expect(AUDITED.filter((each) => actionLabel(each) === each)).toEqual([]);
  });

  it("has its details as pairs, and what only machines read apart", () => {
    const given = { slug: "apex", name: null, mark: "beef", without_people: true };
    const detail = { operation: "0192", arguments: given, before: { slug: "a", name: "A" }, roles: ["x", "y"] };
    const entry = { detail, request_id: "r1" } as unknown as AuditEntry;
    expect(detailsOf(entry)).toEqual({
      known: [["slug", "apex"], ["without people", en.app.yes], ["before", "a, A"], ["roles", "x, y"]],
      rest: [["mark", "beef"], ["request", "r1"]],
    });
    expect(operationOf(entry)).toBe("0192");
    expect(operationOf({ ...entry, detail: {} })).toBeUndefined();
  });
});

describe("the actions on a tenant", () => {
  it("are those that its state allows", () => {
    const inState = (state: FleetTenant["state"], ofBackup = false) =>
      actionsIn({ state, has_administrator: true, expires_at: null }, ofBackup);
    expect(inState("creating")).toEqual([]);
    expect(inState("deleted")).toEqual(["backUp", "undelete", "purge"]);
    expect(inState("suspended")).not.toContain("suspend");
    expect(inState("active", true)).toEqual(["restore", "restoreAs"]);
    expect(inState("deleted", true)).toEqual(["restoreAs"]);
  });

  it("give an administrator only to a tenant that has none", () => {
    const usual = { expires_at: null };
    expect(actionsIn({ ...usual, state: "active", has_administrator: true })).not.toContain("appoint");
    expect(actionsIn({ ...usual, state: "active", has_administrator: false })[0]).toBe("appoint");
    expect(actionsIn({ ...usual, state: "deleted", has_administrator: false })).not.toContain("appoint");
  });

  it("change when a branch is deleted, and of no other tenant", () => {
    const active = { state: "active", has_administrator: true } as const;
    expect(actionsIn({ ...active, expires_at: "2030-01-01T00:00:00Z" })).toContain("expire");
    expect(actionsIn({ ...active, expires_at: null })).not.toContain("expire");
    expect(["", " ", "1", " 365 "].every(areDays)).toBe(true);
    expect(["0", "366", "1.5", "-1", "1e2", "x"].some(areDays)).toBe(false);
  });

  it("ask for what they need", () => {
    const acme = { slug: "acme", name: "Acme" } as FleetTenant;
    const of = (action: (typeof ACTIONS)[number]): string[] => missing(needed(action), beginWith(action, acme));
    expect([of("suspend"), of("rename"), of("clone"), of("move"), of("appoint")]).toEqual([["reason"], [], ["slug"], ["server"], ["administrator"]]);
    expect(missing(needed("rename"), { ...beginWith("rename", acme), name: "" })).toEqual(["name"]);
    expect(missing(needed("suspend"), { ...beginWith("suspend", acme), reason: " " })).toEqual(["reason"]);
  });

  it("change the quotas that are others than before, and leave an empty one to the settings", () => {
    const acme = { slug: "acme", storage_quota: 5 * 2 ** 30, connection_quota: null } as FleetTenant;
    const given = beginWith("limit", acme);
    expect([given.storage, given.connections]).toEqual(["5 GiB", ""]);
    expect(limits(acme, given)).toEqual({});
    expect(limits(acme, { storage: " ", connections: " 12 " })).toEqual({ storage_quota: null, connection_quota: 12 });
    expect(["1", "500MB", "5 gib", "3 TiB"].map(bytesOf)).toEqual([1, 5e8, 5 * 2 ** 30, 3 * 2 ** 40]);
    expect(["", "0", "0 GiB", "-1", "1.5 GiB", "5 PB", "999999 TiB"].map(bytesOf).some((each) => each !== undefined)).toBe(false);
    for (const bytes of [1, 1023, 5e8, 5 * 2 ** 30, 10 ** 15]) expect(bytesOf(typedBytes(bytes))).toBe(bytes);
    expect(["1", "100000", "0", "100001", "1.5", ""].map(connectionsOf)).toEqual([1, 100_000, undefined, undefined, undefined, undefined]);
  });

  it("make a tenant from nothing, or from a database that must be named", () => {
    expect(missing(NEW.adopt.needed, { ...nothing(), slug: "acme", database: " " })).toEqual(["database"]);
    expect(missing(NEW.create.needed, nothing())).toEqual(["slug"]);
  });

  it("all say what will happen", () => {
    for (const action of [...ACTIONS, "create", "adopt"] as const) expect([o.actions[action], o.will[action]().length > 0]).toEqual([expect.any(String), true]);
  });
});

it("a finding that is left alone says why in one sentence", () => {
  const all = ["this version knows no such kind", "It does not answer.", "is this the right place?"];
  expect(all.map(o.finding.leaves)).toEqual([
    "Nothing: this version knows no such kind.",
    "Nothing: It does not answer.",
    "Nothing: is this the right place?",
  ]);
});

describe("the address of a list of the fleet", () => {
  it("has its filters and its page, and nothing else", () => {
    const query = { q: ["a", "b"], state: "", server: "eu", cursor: "c", other: "x" };
    expect(filtersOf(["q", "state", "server"], query)).toEqual({ q: "a", server: "eu", cursor: "c" });
    expect(changedFilters({ q: "a", cursor: "c" }, { state: "active" })).toEqual({ q: "a", state: "active" });
    expect(changedFilters({ q: "a" }, { cursor: "d", q: "" })).toEqual({ cursor: "d" });
  });
});

describe("a run of the migration", () => {
  const stages = [
    { name: "wave 1", tenants: 10, done: 9, failed: 1 },
    { name: "rest", tenants: 90, done: 31, failed: 0 },
  ];
  const run = { state: "running", stopped_by: null, stages, points: [] } as unknown as MigrationRun;
  const at = (...points: [number, number][]): MigrationRun => ({
    ...run, points: points.map(([seconds, done]) => ({ seconds, done })),
  });

  it("has a rate and an end as soon as something has moved", () => {
    expect([rateOf(run.points), minutesLeft(run)]).toEqual([null, null]);
    expect(rateOf(at([0, 0], [2, 0]).points)).toBe(null);
    const moving = at([0, 0], [30, 20], [60, 40]);
    expect([rateOf(moving.points), minutesLeft(moving)]).toEqual([40, 59 / 40]);
    expect(minutesLeft({ ...moving, state: "died" })).toBe(null);
  });

  it("forgets how fast it was long ago", () => {
    expect(rateOf(at([0, 0], [10, 1000], [900, 1001], [1020, 1003]).points)).toBe(1);
  });

  it("is a line whose end is as high as the part that is done", () => {
    expect(curveOf(at([0, 0], [60, 50], [120, 100]), 480, 96)).toBe("0.0,96.0 240.0,48.0 480.0,0.0");
    expect(curveOf(run, 480, 96)).toBe("");
  });

  it("says what a rehearsal has shown", () => {
    const locks = [{ table: "nodes", mode: "AccessExclusiveLock", keeps_from: "reading and writing", seconds: 0.5 }];
    const rehearsal = {
      tenant: "acme", chosen: "largest", size: null, from: null, to: "x", state: "drifted", branch: "b", duration: 1, locks, error: "Odd.",
    } satisfies MigrationRun["rehearsals"][number];
    expect(rehearsalText(rehearsal)).toBe(
      "Rehearsal on acme: another structure in 1 s. Reading and writing nodes waits for 0.5 s. Odd. The branch b is there for a day.",
    );
    const passed = { ...rehearsal, state: "passed", branch: null, duration: null, locks: [], error: null } satisfies MigrationRun["rehearsals"][number];
    expect(rehearsalText(passed)).toBe("Rehearsal on acme: passed.");
  });

  it("says what became of it, whatever that is", () => {
    const outcomes = o.migrating.outcomes;
    expect(outcomeOf(run)).toBe(outcomes.running);
    expect(outcomeOf({ ...run, state: "died" })).toBe(outcomes.died);
    expect(outcomeOf({ ...run, state: "finished" })).toBe(outcomes.with_failures);
    expect(outcomeOf({ ...run, state: "finished", stages: [stages[1]!] })).toBe(outcomes.finished);
    expect(outcomeOf({ ...run, state: "finished", stages: [] })).toBe(outcomes.rehearsed);
    expect(outcomeOf({ ...run, state: "stopped", stopped_by: "failures" })).toBe(outcomes.failures);
    expect(outcomeOf({ ...run, state: "stopped", stopped_by: "newer" as "error" })).toBe(outcomes.error);
    expect(["wave 2", "rest", "newer"].map(stageLabel)).toEqual(["Wave 2", "The rest", "newer"]);
  });
});

describe("the answers to a query", () => {
  const answers = [
    { tenant: "a", columns: ["n", "c0"], rows: [[1, "=x"]], truncated: false, failure: null },
    { tenant: "b", columns: ["n", "more"], rows: [[2, { k: 1 }]], truncated: true, failure: null },
    { tenant: "c", columns: [], rows: [], truncated: false, failure: "no such table" },
  ] as TenantRows[];

  it("are one table, whatever columns each tenant has", () => {
    const table = tableOf(answers);
    expect(table.columns).toEqual(["n", "c0", "more"]);
    expect(table.rows.map((each) => each.values)).toEqual([[1, "=x", null], [2, null, { k: 1 }]]);
    expect([table.failures, table.truncated]).toEqual([[{ tenant: "c", failure: "no such table" }], ["b"]]);
    const { columns, rows } = csvRows(table);
    expect(csvOf(columns, rows).split("\r\n").slice(0, 2)).toEqual(["\uFEFFtenant,n,c0,more", "a,1,'=x,"]);
  });

  it("are asked for by slugs", () => {
    expect([slugsOf(" , "), slugsOf("acme, globex acme")]).toEqual([null, ["acme", "globex"]]);
  });
});

it("every code that the calls of operators can answer has a sentence", () => {
  interface Answered {
    description?: string;
    $ref?: string;
  }
  const document = JSON.parse(written) as {
    paths: Record<string, Record<string, { responses?: Record<string, Answered> }>>;
    components: { responses: Record<string, Answered> };
  };
  const codes = new Set<string>();
  for (const [path, operations] of Object.entries(document.paths)) {
    if (!path.includes("/fleet/")) continue;
    for (const [status, answer] of Object.values(operations).flatMap((each) => Object.entries(each.responses ?? {}))) {
      const shared = document.components.responses[answer.$ref?.split("/").at(-1) ?? ""];
      const text = (answer.$ref ? shared : answer)?.description ?? "";
      if (Number(status) >= 400) for (const [, code] of text.matchAll(/`(\w+)`/g)) codes.add(code!);
    }
  }
  expect(codes.size).toBeGreaterThan(20);
  expect([...codes].filter((code) => !(code in en.problems))).toEqual([]);
});

describe("usage", () => {
  const now = Date.parse("2026-03-02T01:59:00Z");
  const hour = (at: string, requests: number): HourOfUsage => ({ hour: `2026-03-0${at}:00:00Z`, requests }) as HourOfUsage;

  it("is asked for whole hours", () => {
    expect(hoursAgo(2, now)).toBe("2026-03-01T23:00:00Z");
    expect(askedOf({ hours: "2", sort: "bytes_sent", cursor: "x" }, now)).toEqual({
      since: "2026-03-01T23:00:00Z", sort: "bytes_sent", cursor: "x",
    });
    expect([askedOf({}, now), askedOf({ hours: "x" }, now)]).toEqual([askedOf({ hours: "24" }, now), askedOf({}, now)]);
  });

  it("is a step for each hour, also for those in which nothing was used", () => {
    const hours = [hour("2T01", 2), hour("1T23", 4)];
    expect(hoursCurve(hours, hoursAgo(2, now), 3, 30, 10)).toBe("0.0,0.0 10.0,0.0 10.0,10.0 20.0,10.0 20.0,5.0 30.0,5.0");
    expect(hoursCurve([], hoursAgo(2, now), 1, 30, 10)).toBe("0.0,10.0 30.0,10.0");
    expect(sumsOf(hours)).toEqual({ requests: 6, most: hours[1], last: hours[0] });
    expect(sumsOf([])).toEqual({ requests: 0, most: undefined, last: undefined });
  });
});

import { describe, expect, it } from "vitest";
import { effectScope } from "vue";

import type { Delivery, Job, OwnAuditEntry, Session, Webhook } from "../../generated/api/types.gen";
import { Offline } from "../api/problem";
import { session } from "../api/session";
import { actionLabel, detailsOf } from "./audit";
import { declaredWords, declarePermissions } from "./declared";
import { argumentsOf, canCancel, canRetry, whenOf } from "./job";
import { managedPages, mayManage } from "./managing";
import { mappingOf } from "./mapping";
import { usePaged } from "./paged";
import { permissionLabel } from "./permissions";
import type { Resource } from "./resource";
import { managingRoles, permissionsOf, stepsTo } from "./roles";
import { sizeOf } from "./sizes";
import { pointedAt } from "./submitting";
import { messageLabel, noteOf, resourceChoices, rowOf, stateOf } from "./webhook";

const ROLES = [
  { name: "owner", permissions: ["content.read", "members.manage"] },
  { name: "admin", permissions: ["members.manage"] },
  { name: "author", permissions: ["content.create", "content.read"] },
  { name: "reader", permissions: ["content.read"] },
];
const MANAGING = managingRoles(ROLES);

function steps(present: string[], wanted: string[]): string[] {
  const grants = present.map((role) => ({ id: `id of ${role}`, role }));
  return stepsTo(grants, wanted, MANAGING).map((step) => {
    if (step.kind === "add") return `add ${step.role}`;
    return step.kind === "change" ? `${step.id} becomes ${step.role}` : `remove ${step.id}`;
  });
}

describe("the steps to other roles", () => {
  it("are none where nothing is to be done", () => {
    expect(steps(["author", "reader"], ["reader", "author"])).toEqual([]);
  });

  it("change a role in one call, rather than take it and give another", () => {
    expect(steps(["author"], ["reader"])).toEqual(["id of author becomes reader"]);
    expect(steps(["author"], ["author", "reader"])).toEqual(["add reader"]);
    expect(steps(["author", "reader"], [])).toEqual(["remove id of author", "remove id of reader"]);
  });

  it("begin with what may be refused, so that a refusal leaves all as it was", () => {
    expect(steps(["reader", "admin"], [])).toEqual(["remove id of admin", "remove id of reader"]);
    expect(steps(["reader", "admin"], ["author"])[0]).toBe("id of admin becomes author");
  });

  it("never leave a moment without the right to manage members", () => {
    expect(steps(["admin"], ["reader", "owner"])).toEqual(["id of admin becomes owner", "add reader"]);
    expect(steps(["reader", "admin"], ["author", "owner"])).toEqual(["id of admin becomes owner", "id of reader becomes author"]);
  });
});

describe("the roles of an identity provider's groups", () => {
  it("leave out lines that are not filled in", () => {
    const lines = [{ group: " staff ", role: "author" }, { group: "  ", role: "admin" }, { group: "guests", role: "" }];
    expect(mappingOf(lines)).toEqual([{ group: "staff", role: "author" }]);
  });
});

describe("what roles permit", () => {
  it("is added up, each permission once", () => {
    expect(permissionsOf(ROLES, ["reader", "author", "gone"])).toEqual(["content.create", "content.read"]);
  });

  it("is in words where it is known, and decides which pages there are", () => {
    expect(permissionLabel("content.read")).toBe("read content");
    declarePermissions({ "books.sell": { description: "Sell books", translations: { de: "Bücher verkaufen" } } });
    expect([permissionLabel("books.sell"), permissionLabel("books.burn")]).toEqual(["Sell books", "books.burn"]);
    expect([declaredWords("books.sell", "de"), declaredWords("toString")]).toEqual(["Bücher verkaufen", undefined]);
    expect(managedPages(["content.read"])).toEqual([]);
    const names = (): string[] => managedPages(["members.manage", "tenant.export"]).map((each) => each.name);
    expect([mayManage.value, names()]).toEqual([true, ["members", "access", "security", "exports", "audit"]]);
    session.value = { impersonation: { operator: "olga" }, user: {} } as unknown as Session;
    expect([mayManage.value, names()]).toEqual([false, ["members", "access", "security", "audit"]]);
    session.value = undefined;
  });
});

describe("an entry of the audit trail", () => {
  it("is shown in words, without ids", () => {
    const detail = { token: "01a2", name: "cron", user: "ada", permissions: ["a.b", "c.d"], days: 7 };
    expect(detailsOf({ detail } as unknown as OwnAuditEntry)).toEqual([
      ["name", "cron"],
      ["owner", "ada"],
      ["permissions", "a.b, c.d"],
      ["days", "7"],
    ]);
    const renamed = { before: { slug: "a", name: "A" } };
    expect(detailsOf({ detail: renamed } as unknown as OwnAuditEntry)).toEqual([["before", "a, A"]]);
    expect([actionLabel("member.grant"), actionLabel("new.thing")]).toEqual(["gave a role", "new.thing"]);
  });
});

describe("a list that grows", () => {
  it("keeps its length when it is read again, and stops reading with its component", async () => {
    let rows = ["a", "b", "c", "d", "e"];
    const asked: string[] = [];
    let signalled: AbortSignal | undefined;
    const scope = effectScope();
    const list = scope.run(() =>
      usePaged((cursor, signal) => {
        asked.push(cursor);
        signalled = signal;
        const start = Number(cursor);
        return Promise.resolve({ items: rows.slice(start, start + 2), next: start + 2 < rows.length ? String(start + 2) : null });
      }),
    )!;
    await list.load();
    await list.more();
    expect([list.items.value, list.next.value]).toEqual([["a", "b", "c", "d"], "4"]);
    rows = ["a", "c", "d", "e"];
    asked.length = 0;
    await list.load();
    expect([asked, list.items.value, list.next.value]).toEqual([["", "2"], ["a", "c", "d", "e"], null]);
    scope.stop();
    expect(signalled?.aborted).toBe(true);
  });

  it("is looked at again without a sign of it, and tells whether something has changed", async () => {
    let rows = ["a", "b"];
    let isDown = false;
    const read = () => (isDown ? Promise.reject(new Offline()) : Promise.resolve({ items: rows, next: null }));
    const list = effectScope().run(() => usePaged(read))!;
    await list.load();
    expect(await list.look()).toBe(false);
    rows = ["c", "b"];
    const looking = list.look();
    expect(list.loading.value).toBe(false);
    expect([await looking, list.items.value]).toEqual([true, ["c", "b"]]);
    isDown = true;
    await expect(list.look()).rejects.toThrow(Offline);
    expect([list.items.value, list.failure.value]).toEqual([["c", "b"], undefined]);
  });
});

describe("a webhook", () => {
  const webhook = { active: true, failures: 0, off_reason: null } as Webhook;
  const resources = [{ name: "nodes", label: "Nodes" }] as Resource[];

  it("says why it is off, and what to do", () => {
    const off = { ...webhook, active: false };
    const all = [webhook, { ...webhook, failures: 2 }, { ...off, off_reason: "by_people" }, { ...off, off_reason: "failing" }] as Webhook[];
    expect(all.map(stateOf)).toEqual(["active", "failing", "by_people", "off"]);
    expect(all.map((each) => noteOf(each) !== undefined)).toEqual([false, false, false, true]);
  });

  it("may tell about what it tells about already, also if that cannot be read", () => {
    expect(resourceChoices(resources, ["nodes", "secrets"]).map(({ label }) => label)).toEqual(["Nodes", "secrets"]);
  });

  it("has messages that say what they are about, and lead to rows that may be there", () => {
    const types = ["nodes.created", "gone.changed", "changes.gone", "nodes.odd"];
    const labels = ["Nodes: added", "gone: changed", "Changes were removed before they could be told", "nodes.odd"];
    expect(types.map((type) => messageLabel(type, resources))).toEqual(labels);
    const about = (data: object) => rowOf({ message: { data } } as unknown as Delivery);
    expect(about({ resource: "nodes", id: "1", kind: "changed" })).toEqual({ resource: "nodes", id: "1" });
    expect([about({ resource: "nodes", id: "1", kind: "deleted" }), about({})]).toEqual([undefined, undefined]);
  });
});

describe("a job", () => {
  const job = { state: "queued", due_at: "2026-01-01T00:00:00Z", created_at: "2026-01-01T00:00:00Z", arguments: {} } as Job;
  const states = ["queued", "running", "held", "done", "failed", "cancelled"] as const;

  it("can be retried and cancelled as its state permits", () => {
    const all = states.map((state) => ({ ...job, state }));
    expect(all.filter(canRetry).map(({ state }) => state)).toEqual(["queued", "failed", "cancelled"]);
    expect(all.filter(canCancel).map(({ state }) => state)).toEqual(["queued", "running", "held"]);
  });

  it("says when it is due, or was done, and with what", () => {
    const time = Date.parse(job.due_at);
    expect([whenOf(job, time - 1), whenOf(job, time)]).toEqual([expect.stringMatching(/^due .*2026/), "due now"]);
    expect(whenOf({ ...job, state: "done", finished_at: "2025-06-01T12:00:00Z" })).toContain("2025");
    expect([argumentsOf(job), argumentsOf({ ...job, arguments: { shelf: 13 } })]).toEqual([undefined, '{\n "shelf": 13\n}']);
  });
});

describe("the size of a file", () => {
  it("has a unit that fits", () => {
    expect([0, 999, 3946, 1_000_000].map(sizeOf)).toEqual(["0 byte", "999 byte", "3.9 kB", "1 MB"]);
  });
});

describe("what a problem points at", () => {
  it("goes to its field, and the rest to the form", () => {
    const pointed = [
      { pointer: "/permissions/0", detail: "One." },
      { pointer: "/permissions/1", detail: "Two." },
      { pointer: "", detail: "All." },
    ];
    expect(pointedAt(["permissions"], pointed)).toEqual([{ permissions: "One." }, ["All."]]);
  });
});

import { afterEach, describe, expect, it, vi } from "vitest";

import { call, guardCalls } from "./http";

const OLD = { status: 403, code: "reauthentication_required" };

/** What the server answers, one after the other; and whether the person proves who they are when they are asked. */
function answering(answers: { status: number; code?: string }[], proves: boolean): { sent: RequestInit[]; asked: string[] } {
  const sent: RequestInit[] = [];
  const asked: string[] = [];
  const answer = (what: string) => () => {
    asked.push(what);
    return Promise.resolve(proves);
  };
  vi.stubGlobal("fetch", (_: string, request: RequestInit) => {
    sent.push(request);
    const { status, code } = answers[sent.length - 1]!;
    const headers = { "Content-Type": "application/problem+json" };
    return Promise.resolve(new Response(JSON.stringify({ code }), { status, headers }));
  });
  guardCalls({
    csrfToken: () => `token ${asked.length}`,
    renew: () => Promise.resolve(),
    signInAgain: answer("sign-in"),
    proveAgain: answer("proof"),
  });
  return { sent, asked };
}

describe("a call that is made too long after the sign-in", () => {
  afterEach(() => {
    vi.unstubAllGlobals();
    guardCalls({
      csrfToken: () => undefined,
      renew: () => Promise.resolve(),
      signInAgain: () => Promise.resolve(false),
      proveAgain: () => Promise.resolve(false),
    });
  });

  it("is made again once the person has proved who they are, with the new token of the session", async () => {
    const { sent, asked } = answering([OLD, { status: 200 }], true);
    expect((await call("POST", "/api/v1/tokens", { body: { name: "ci" } })).status).toBe(200);
    expect(asked).toEqual(["proof"]);
    expect(sent.map(({ body }) => body)).toEqual(Array(2).fill('{"name":"ci"}'));
    expect(sent.map(({ headers }) => (headers as Record<string, string>)["X-CSRF-Token"])).toEqual(["token 0", "token 1"]);
  });

  it("is refused if they do not, and is made no third time", async () => {
    const given = answering([OLD], false);
    await expect(call("POST", "/api/v1/tokens")).rejects.toMatchObject({ code: OLD.code });
    expect(given.sent).toHaveLength(1);
    const again = answering([OLD, OLD], true);
    await expect(call("POST", "/api/v1/tokens")).rejects.toMatchObject({ code: OLD.code });
    expect([again.sent.length, again.asked]).toEqual([2, ["proof"]]);
  });
});

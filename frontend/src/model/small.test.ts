import { describe, expect, it } from "vitest";

import { call } from "../api/http";
import { Offline, Problem } from "../api/problem";
import { t } from "../strings";
import { choose, directionOf, localeOf } from "../strings/language";
import { partsOf } from "./code";
import { deviceOf } from "./device";
import { isRepeatable, pauseOf, sentenceOf } from "./failure";
import { initialOf } from "./initial";
import { ago } from "./times";

describe("a device", () => {
  it("is called by its browser and its system", () => {
    expect(deviceOf("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/150.0 Safari/537.36")).toBe("Chrome, Linux");
    expect(deviceOf("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile Safari/604.1")).toBe(
      "Safari, iOS",
    );
    expect(deviceOf("curl/8.5")).toBe("curl/8.5");
  });
});

describe("a text with code in it", () => {
  it("is split at its backticks, and one that has no other stays", () => {
    const parts = partsOf("Run `tenantapp migrate` again, or `worker`.");
    expect(parts.map((each) => each.text)).toEqual(["Run ", "tenantapp migrate", " again, or ", "worker", "."]);
    expect(parts.map((each) => each.isCode)).toEqual([false, true, false, true, false]);
    expect(partsOf("`all` but one `")).toEqual([{ text: "all", isCode: true }, { text: " but one `", isCode: false }]);
    expect(partsOf("")).toEqual([]);
  });
});

describe("a name", () => {
  it("begins with a whole character", () => {
    expect(["ada", " ß", "👩‍🚀 Crew", "é", ""].map(initialOf)).toEqual(["A", "SS", "👩‍🚀", "É", ""]);
    const marked = ["e\u0301a", "1\ufe0f\u20e3 first", "q", "  x y", "a\u0308"];
    expect(marked.map(initialOf)).toEqual(["E\u0301", "1\ufe0f\u20e3", "Q", "X", "A\u0308"]);
  });
});

describe("an answer", () => {
  it("of somebody between the page and the server is none", async () => {
    await expect(call("GET", "data:text/html,<p>Accept the terms</p>")).rejects.toThrow(Offline);
    expect((await call("GET", "data:application/json,[1]")).data).toEqual([1]);
  });
});

describe("a problem", () => {
  const said = (status: number, body: object): string => sentenceOf(new Problem(status, body, new Headers()));

  it("has a sentence of the page where the page knows its code", () => {
    expect(said(403, { code: "tenant_suspended", detail: "secret" })).toBe(t.problems.tenant_suspended);
    expect(new Problem(403, { code: "tenant_suspended", reason: "unpaid" }, new Headers()).reason).toBe("unpaid");
  });

  it("of a builder's domain is told in the words of the server", () => {
    expect(said(409, { code: "out_of_stock", detail: "There are 2 copies left." })).toBe("There are 2 copies left.");
    expect(said(409, { code: "constructor", detail: "Odd." })).toBe("Odd.");
  });

  it("that tells nothing, or comes from a proxy, has a sentence all the same", () => {
    expect(said(409, { code: "out_of_stock" })).toBe(t.trouble.unknown);
    expect(said(418, {})).toBe(t.trouble.unknown);
    expect(said(413, {})).toBe(t.problems.body_too_large);
    expect(said(429, {})).toBe(t.problems.busy);
  });
});

describe("a change whose outcome is not known", () => {
  const of = (code: string): Problem => new Problem(503, { code }, new Headers());

  it("is never sent again by itself, only by a person", () => {
    expect([pauseOf(of("busy")), pauseOf(of("outcome_unknown"))]).toEqual([5, null]);
    expect([isRepeatable(of("outcome_unknown")), isRepeatable(new Problem(409, { code: "conflict" }, new Headers()))]).toEqual([true, false]);
  });
});

describe("a time", () => {
  it("is told from now, and after a week as a date", () => {
    const now = Date.parse("2026-11-29T12:00:00Z");
    expect(ago("2026-11-29T11:59:50Z", now)).toBe("just now");
    expect(ago("2026-11-29T11:55:00Z", now)).toBe("5 minutes ago");
    expect(ago("2026-11-27T11:00:00Z", now)).toBe("2 days ago");
    expect(ago("2026-10-01T11:00:00Z", now)).toMatch(/2026/);
    expect(ago("soon", now)).toBe("soon");
  });
});

describe("the language", () => {
  it("is the chosen one, or the first known one of the browser", () => {
    expect(choose(["fr-CA", "en-GB"])).toBe("en");
    expect(choose(["fr-CA", "de-AT", "en"])).toBe("de");
    expect(choose(["DE"])).toBe("de");
    expect(choose(["de-AT"], "en")).toBe("en");
    expect(choose(["de-AT"], "tlh")).toBe("de");
    expect(choose(["toString"], "constructor")).toBe("en");
    expect(choose([])).toBe("en");
  });

  it("has its dates and numbers as in the region of the browser", () => {
    expect(localeOf("de", ["en-GB", "de-AT"])).toBe("de-AT");
    expect(localeOf("de", ["en-GB"])).toBe("de");
  });

  it("is written from the left or the right", () => {
    expect([directionOf("de"), directionOf("ar-EG"), directionOf("he")]).toEqual(["ltr", "rtl", "rtl"]);
  });
});

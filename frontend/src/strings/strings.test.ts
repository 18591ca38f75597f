import { describe, expect, it } from "vitest";

import { de } from "./de";
import { de as deAccount } from "./de.account";
import { de as deBulk } from "./de.bulk";
import { de as deManaging } from "./de.managing";
import { de as deOperator } from "./de.operator";
import { de as deRows } from "./de.rows";
import { de as deViews } from "./de.views";
import { en } from "./en";
import { en as enAccount } from "./en.account";
import { en as enBulk } from "./en.bulk";
import { en as enManaging } from "./en.managing";
import { en as enOperator } from "./en.operator";
import { en as enRows } from "./en.rows";
import { en as enViews } from "./en.views";
import { withTexts } from "./late";
import { plural, textOf } from "./words";

type Made = (...given: unknown[]) => unknown;
type Texts = Map<string, string | Made>;

const CATALOGUES: [string, object, object][] = [
  ["the page", en, de],
  ["signing in and the own account", enAccount, deAccount],
  ["several rows at once", enBulk, deBulk],
  ["those who manage", enManaging, deManaging],
  ["rows from files", enRows, deRows],
  ["operators", enOperator, deOperator],
  ["the tree and builders' components", enViews, deViews],
];
/** The same in both languages. */
const SAME = new Set(["tenantapp", "Passkey", "Administrator", "Filter", "Details", "Export", "Name", "Token", "Optional.", "Migration", "Server", "Revision", "Import", "Webhooks", "Domain", "Domains"]);

function textsOf(catalogue: object, path = ""): Texts {
  const found: Texts = new Map();
  for (const [name, value] of Object.entries(catalogue)) {
    const here = `${path}.${name}`;
    if (typeof value === "object") for (const [inner, each] of textsOf(value as object, here)) found.set(inner, each);
    else found.set(here, value as string | Made);
  }
  return found;
}

/** What a function makes of some values. */
function call(text: Made): string[] {
  const values: unknown[][] = [[1, 1], [7, 7], ["⟨", 7], [["⟨", "⟩"]]];
  return values.flatMap((given) => {
    try {
      return [text(...given)].flat().map(String).filter((each) => !each.includes("NaN"));
    } catch {
      return []; // a text where a list is wanted
    }
  });
}

function shownOf(text: string | Made): string[] {
  return typeof text === "string" ? [text] : call(text);
}

describe.each(CATALOGUES)("the texts for %s", (_, english, german) => {
  const ours = textsOf(english);
  const theirs = textsOf(german);

  it("are the same ones in every language", () => {
    expect([...theirs.keys()].sort()).toEqual([...ours.keys()].sort());
  });

  it("take the same values", () => {
    const taken = (texts: Texts): unknown[] => [...texts].map(([name, text]) => [name, typeof text, text.length * Number(typeof text === "function")]);
    expect(taken(theirs).sort()).toEqual(taken(ours).sort());
  });

  it("are translated, and none is empty", () => {
    const left = [...theirs].flatMap(([name, text]) => {
      const before = new Set(shownOf(ours.get(name) ?? ""));
      return shownOf(text).filter((each) => each.trim() === "" || (before.has(each) && /\p{L}/u.test(each) && !SAME.has(each)));
    });
    expect(left).toEqual([]);
  });

  it("are addressed to Sie, and have German quotation marks", () => {
    const wrong = [...theirs.values()].flatMap(shownOf).filter((each) => /\b(du|dein|dich|dir)\b|["“](?=\p{L})|'/iu.test(each));
    expect(wrong).toEqual([]);
  });
});

describe("a part with texts of its own", () => {
  it("is there when both are read", async () => {
    const read: string[] = [];
    const texts = async () => ({ readTexts: async () => void read.push("texts") });
    const part = withTexts(async () => "part", texts);
    expect([await part(), read]).toEqual(["part", ["texts"]]);
  });
});

describe("words", () => {
  it("count", () => {
    expect([0, 1, 2, 12_345].map((count) => plural(count, "row", "rows"))).toEqual(["0 rows", "1 row", "2 rows", "12,345 rows"]);
  });

  it("have no text for what they do not know", () => {
    expect([textOf({ one: "yes" }, "one"), textOf({ one: "yes" }, "two"), textOf({}, "constructor")]).toEqual(["yes", undefined, undefined]);
  });
});

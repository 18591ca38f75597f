import { describe, expect, it } from "vitest";

import type { Field } from "./field";
import { beginningOf, isSameFile, toSend } from "./importing";

const FIELDS = [
  { name: "title", label: "Titel", required: true },
  { name: "body", label: "Text", required: false },
  { name: "text", label: "Other", required: false },
] as Field[];

function look(text: string | Uint8Array, isWhole = true) {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const found = beginningOf(bytes, isWhole, FIELDS);
  if (typeof found === "string") return found;
  const { columns, rows, missing } = found;
  return { columns: columns.map(({ head, field }) => `${head}: ${field?.name}`), rows, missing: missing.map(({ name }) => name) };
}

describe("the beginning of a CSV file", () => {
  it("names the columns by field or label, each field once", () => {
    const found = look("\uFEFF TITEL ,text,Text,Owner,title\r\na,b,c,d,e\r\n");
    expect(found).toMatchObject({ columns: ["TITEL: title", "text: text", "Text: body", "Owner: undefined", "title: undefined"] });
    expect(look("body\n1")).toMatchObject({ missing: ["title"] });
  });

  it("has its first rows, with quotes, and without what is cut off", () => {
    const text = 'title,body\n"a, ""b""\r\nc",\n\nd,é\n';
    expect(look(text)).toMatchObject({ rows: [['a, "b"\r\nc', ""], ["d", "é"]] });
    const cut = new TextEncoder().encode(text).slice(0, -2); // in the middle of a character
    expect(look(cut, false)).toMatchObject({ rows: [['a, "b"\r\nc', ""]] });
    expect(look(`title\n${"x\n".repeat(50)}`)).toMatchObject({ rows: Array(5).fill(["x"]) });
  });

  it("says why it is not worth sending", () => {
    const latin = Uint8Array.from([..."title\nM"].map((letter) => letter.charCodeAt(0)).concat(0xfc));
    expect([look(latin), look("\n\n"), look("title;body\n1;2"), look('title,"body\n1')]).toEqual(["encoding", "empty", "semicolons", "broken"]);
  });

  it("is sent with the names of fields in its first line", async () => {
    const sent = async (text: string) => {
      const file = new Blob([text]);
      const found = beginningOf(new Uint8Array(await file.arrayBuffer()), true, FIELDS);
      return typeof found === "string" ? found : [toSend(file, found) === file, await toSend(file, found).text()];
    };
    expect(await sent("title,body\nä,b")).toEqual([true, "title,body\nä,b"]);
    expect(await sent('\uFEFF"Titel",Text\r\nä,b')).toEqual([false, "title,body\r\nä,b"]);
  });
});

describe("a file that is chosen once more", () => {
  it("is the same as long as nobody has changed it", () => {
    const file = (text: string, name: string, lastModified: number) => new File([text], name, { lastModified });
    const one = file("a", "a.csv", 1);
    expect(isSameFile(one, file("a", "a.csv", 1))).toBe(true);
    const others = [undefined, file("ab", "a.csv", 1), file("a", "b.csv", 1), file("a", "a.csv", 2)];
    expect(others.map((other) => isSameFile(other, one))).toEqual([false, false, false, false]);
  });
});

import { describe, expect, it } from "vitest";

import { drawingOf, grouped } from "./qr";

const SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 37 37" class="segno"><path class="qrline" stroke="#000" d="M4 4.5h7m2 0h1m-29 1h1"/></svg>';

describe("a QR code", () => {
  it("is drawn from its strokes", () => {
    expect(drawingOf(SVG)).toEqual({ viewBox: "0 0 37 37", path: "M4 4.5h7m2 0h1m-29 1h1" });
  });

  it("is not drawn if it is anything else", () => {
    const others = [SVG.replace("M4", "url(//elsewhere)"), SVG.replace("37 37", "&quot;"), "<p>Sign in</p>", ""];
    expect(others.map(drawingOf)).toEqual(Array(4).fill(undefined));
  });
});

describe("a secret", () => {
  it("is shown in groups", () => {
    expect(["ABCDEFGHIJ", "ABCD", ""].map(grouped)).toEqual(["ABCD EFGH IJ", "ABCD", ""]);
  });
});

import { describe, expect, it } from "vitest";

import { isAborted } from "../model/failure";
import { uploadFile } from "./uploads";

describe("a file", () => {
  it("is not sent if it was stopped before", async () => {
    const sending = { onSent: () => undefined, signal: AbortSignal.abort() };
    const failed = await uploadFile("acme", new File(["a"], "a.txt"), "key", sending).catch((error: unknown) => error);
    expect(isAborted(failed)).toBe(true);
  });
});

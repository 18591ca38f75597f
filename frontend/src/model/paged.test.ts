import { describe, expect, it } from "vitest";
import { effectScope } from "vue";

import { usePaged } from "./paged";

describe("a list that grows by a page at a time", () => {
  it("reads nothing after what shows it is gone", async () => {
    let reads = 0;
    const scope = effectScope();
    const paged = scope.run(() => usePaged(() => Promise.resolve({ items: [++reads], next: "more" })))!;
    await paged.load();
    expect(paged.items.value).toEqual([1]);
    scope.stop();
    await paged.load();
    await paged.more();
    expect(await paged.look()).toBe(false);
    expect(reads).toBe(1);
    expect(paged.items.value).toEqual([1]);
  });
});

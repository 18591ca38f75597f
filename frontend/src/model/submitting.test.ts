import { describe, expect, it } from "vitest";

import { Offline } from "../api/problem";
import { t } from "../strings";
import { useSubmitting } from "./submitting";

describe("a form whose answer was lost", () => {
  it("warns of a second attempt only where that would be another change", async () => {
    for (const [keyed, warned] of [[false, true], [true, false]] as const) {
      const { message, submit } = useSubmitting([], keyed);
      expect(await submit(() => Promise.reject(new Offline()))).toBe(false);
      expect(message.value.startsWith(t.problems.offline!)).toBe(true);
      expect(message.value.includes(t.trouble.lost)).toBe(warned);
    }
  });
});

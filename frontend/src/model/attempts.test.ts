import { effectScope } from "vue";
import { afterEach, describe, expect, it, vi } from "vitest";

import { Problem } from "../api/problem";
import { useAttempts } from "./attempts";

function refused(code: string, seconds?: string): () => Promise<void> {
  const headers = new Headers(seconds === undefined ? {} : { "Retry-After": seconds });
  return () => Promise.reject(new Problem(429, { code }, headers));
}

describe("a form by which somebody could guess", () => {
  afterEach(() => void vi.useRealTimers());

  it("counts the seconds down after too many attempts, and ends with its part", async () => {
    vi.useFakeTimers();
    const scope = effectScope();
    const { submit, wait } = scope.run(() => useAttempts())!;
    await submit(refused("too_many_attempts", "3"));
    expect(wait.value).toBe(3);
    vi.advanceTimersByTime(2000);
    expect(wait.value).toBe(1);
    vi.advanceTimersByTime(1000);
    expect([wait.value, vi.getTimerCount()]).toEqual([0, 0]);
    await submit(refused("too_many_attempts", "60"));
    scope.stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("waits for nothing else, and no longer once an attempt was looked at", async () => {
    vi.useFakeTimers();
    const { submit, wait } = effectScope().run(() => useAttempts())!;
    await submit(refused("busy", "3"));
    expect(wait.value).toBe(0);
    await submit(refused("too_many_attempts", "3"));
    await submit(refused("invalid_code"));
    expect([wait.value, vi.getTimerCount()]).toEqual([0, 0]);
  });
});

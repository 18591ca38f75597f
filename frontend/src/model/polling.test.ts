import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Offline, Problem } from "../api/problem";
import { Polling } from "./polling";

describe("polling", () => {
  let times: number[] = [];
  let hidden = false;
  let outcome: () => Promise<boolean | null>;
  const failures: string[] = [];
  const seconds = (count: number) => vi.advanceTimersByTimeAsync(count * 1000);

  function begin(): Polling {
    const polling = new Polling(
      () => {
        times.push(Date.now());
        return outcome();
      },
      (failure) => failures.push(failure.code),
      () => hidden,
    );
    polling.start();
    return polling;
  }

  async function show(polling: Polling, shown: boolean): Promise<void> {
    hidden = !shown;
    await polling.onVisibility();
  }

  beforeEach(() => {
    vi.useFakeTimers({ now: 0 });
    [times, hidden, outcome] = [[], false, () => Promise.resolve(false)];
    failures.length = 0;
  });
  afterEach(() => {
    vi.clearAllTimers();
    vi.useRealTimers();
  });

  it("becomes seldom while nothing changes, and often again when something does", async () => {
    const polling = begin();
    await seconds(9);
    expect(times).toEqual([1000, 2500, 4750, 8125]);
    await seconds(60);
    times = [];
    await seconds(60);
    expect(times).toHaveLength(4); // every 15 s
    outcome = () => Promise.resolve(true);
    await seconds(15);
    times = [];
    await seconds(10);
    expect(times).toHaveLength(10);
    polling.stop();
    await seconds(600);
    expect(times).toHaveLength(10);
  });

  it("never asks while the tab is hidden, and at once when it is seen again", async () => {
    const polling = begin();
    await seconds(1);
    await show(polling, false);
    await seconds(600);
    expect(times).toEqual([1000]);
    await show(polling, true);
    expect(times).toEqual([1000, 601_000]);
    await seconds(2);
    expect(times).toHaveLength(3);
  });

  it("asks once when the tab was hidden only between two questions", async () => {
    const polling = begin();
    await show(polling, false);
    await show(polling, true);
    await seconds(1);
    expect(times).toEqual([1000]);
  });

  it("does not ask twice at the same time", async () => {
    let answer: (changed: boolean) => void = () => undefined;
    outcome = () => new Promise((resolve) => (answer = resolve));
    const polling = begin();
    await seconds(1);
    await show(polling, false);
    await show(polling, true);
    polling.start();
    await seconds(60);
    expect(times).toEqual([1000]);
    answer(false);
    await seconds(1);
    expect(times).toHaveLength(2);
  });

  it("ends when nothing more is to come, unless something was begun meanwhile", async () => {
    outcome = () => Promise.resolve(null);
    const polling = begin();
    await seconds(600);
    await polling.onVisibility();
    expect(times).toHaveLength(1);
    outcome = () => {
      if (times.length === 2) polling.start();
      return Promise.resolve(null);
    };
    polling.start();
    await seconds(600);
    expect(times).toHaveLength(3);
  });

  it("asks nothing more once it has ended for good", async () => {
    const polling = begin();
    await seconds(1);
    polling.end();
    polling.start(); // a read that began before has ended only now
    await polling.onVisibility();
    await seconds(600);
    expect(times).toEqual([1000]);
  });

  it("outlives what mends itself, and ends with a failure that does not", async () => {
    outcome = () => Promise.reject(new Offline());
    begin();
    await seconds(5);
    expect(times.length).toBeGreaterThan(2);
    outcome = () => Promise.reject(new Problem(404, { code: "not_found" }, new Headers()));
    times = [];
    await seconds(600);
    expect([times.length, failures]).toEqual([1, ["not_found"]]);
  });
});

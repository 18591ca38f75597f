// Reads again and again what changes by itself: seldom when nothing happens, and never while nobody sees the tab.

import { onBeforeUnmount, onMounted } from "vue";

import type { Failure } from "../api/problem";
import { asFailure, pauseOf } from "./failure";
import { type Paged, usePaged } from "./paged";

const SHORTEST = 1_000; // milliseconds
const LONGEST = 15_000;
const GROWTH = 1.5;

export class Polling {
  private pause = SHORTEST;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private running = false;
  private looking = false;
  private restarted = false;
  private ended = false;

  /** `look` resolves to whether something has changed, or to null if nothing more is to come. */
  constructor(
    private readonly look: () => Promise<boolean | null>,
    private readonly onFailure: (failure: Failure) => void,
    private readonly isHidden: () => boolean = () => document.hidden,
  ) {}

  /** Begin, or begin anew with short pauses: something was started. */
  start(): void {
    if (this.ended) return;
    this.running = true;
    this.pause = SHORTEST;
    if (this.looking) this.restarted = true;
    else this.wait();
  }

  stop(): void {
    this.running = false;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  /** Stop for good: nobody sees any more what is read. */
  end(): void {
    this.ended = true;
    this.stop();
  }

  /** What is shown again is read at once, if its time has come meanwhile. */
  async onVisibility(): Promise<void> {
    if (this.isHidden() || !this.running) return;
    this.pause = SHORTEST;
    if (this.timer === undefined && !this.looking) await this.turn();
  }

  private wait(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.turn(), this.pause);
  }

  private async turn(): Promise<void> {
    this.timer = undefined;
    if (this.isHidden()) return; // goes on when the tab is seen again
    this.looking = true;
    const changed = await this.outcome().finally(() => (this.looking = false));
    if (this.restarted) this.restarted = false;
    else if (changed === null) this.stop();
    else this.pause = changed ? SHORTEST : Math.min(this.pause * GROWTH, LONGEST);
    if (this.running) this.wait();
  }

  /** What mends itself is tried again. Any other failure ends it. */
  private async outcome(): Promise<boolean | null> {
    try {
      return await this.look();
    } catch (error) {
      const failure = asFailure(error);
      if (pauseOf(failure) !== null) return false;
      this.onFailure(failure);
      return null;
    }
  }
}

/** A list that is read again while it is shown, once `load` was called. `goesOn` tells whether more may come. */
export function usePolledPages<T>(
  read: Parameters<typeof usePaged<T>>[0],
  goesOn: () => boolean = () => true,
): Paged<T> & { polling: Polling } {
  const pages = usePaged<T>(read);
  const look = async (): Promise<boolean | null> => (goesOn() ? pages.look() : null);
  const polling = usePolling(look, (found) => (pages.failure.value = found));

  async function load(): Promise<void> {
    await pages.load();
    if (!pages.failure.value) polling.start();
  }

  return { ...pages, load, polling };
}

/** Poll while the component is shown. */
export function usePolling(look: () => Promise<boolean | null>, onFailure: (failure: Failure) => void): Polling {
  const polling = new Polling(look, onFailure);
  const onVisibility = (): void => void polling.onVisibility();
  onMounted(() => document.addEventListener("visibilitychange", onVisibility));
  onBeforeUnmount(() => {
    document.removeEventListener("visibilitychange", onVisibility);
    polling.end();
  });
  return polling;
}

// Reads again and again what changes by itself: seldom when nothing happens, and never while nobody looks at the tab.

import { onBeforeUnmount, onMounted } from "vue";

const SHORTEST = 1000; // milliseconds
const LONGEST = 15_000;
const GROWTH = 1.5;

export class Polling {
  private pause = SHORTEST;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private running = false;

  /** `look` reads, and resolves to whether something has changed; to null if nothing more is to come. */
  constructor(
    private readonly look: () => Promise<boolean | null>,
    private readonly isHidden: () => boolean = () => document.hidden,
  ) {}

  /** Begin, or begin anew with short pauses: something was started. */
  start(): void {
    this.running = true;
    this.pause = SHORTEST;
    this.wait();
  }

  stop(): void {
    this.running = false;
    clearTimeout(this.timer);
  }

  /** The tab is shown or hidden. What is shown again is read at once. */
  async onVisibility(): Promise<void> {
    clearTimeout(this.timer);
    if (this.running && !this.isHidden()) await this.turn();
  }

  private wait(): void {
    clearTimeout(this.timer);
    if (this.running && !this.isHidden()) this.timer = setTimeout(() => void this.turn(), this.pause);
  }

  private async turn(): Promise<void> {
    const changed = await this.look().catch(() => false);
    if (changed === null) this.stop();
    this.pause = changed ? SHORTEST : Math.min(this.pause * GROWTH, LONGEST);
    this.wait();
  }
}

/** Poll while the component is shown. */
export function usePolling(look: () => Promise<boolean | null>): Polling {
  const polling = new Polling(look);
  const onVisibility = (): void => void polling.onVisibility();
  onMounted(() => document.addEventListener("visibilitychange", onVisibility));
  onBeforeUnmount(() => {
    document.removeEventListener("visibilitychange", onVisibility);
    polling.stop();
  });
  return polling;
}

// Asks for long work again and again: with longer and longer pauses, and not while nobody sees the tab.

const FIRST = 1_000; // milliseconds
const LONGEST = 15_000;
const FACTOR = 1.5;

/** Ask until the answer is false. Return what stops it. `ask` must not throw. */
export function poll(ask: () => Promise<boolean>): () => void {
  let pause = FIRST;
  let stopped = false;
  let asking = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function wait(): void {
    timer = setTimeout(() => void step(), pause);
    pause = Math.min(pause * FACTOR, LONGEST);
  }

  async function step(): Promise<void> {
    timer = undefined;
    if (document.hidden) return; // goes on when the tab is seen again
    asking = true;
    const more = await ask();
    asking = false;
    if (more && !stopped) wait();
    else stop();
  }

  function onVisible(): void {
    if (document.hidden || stopped) return;
    if (timer === undefined && !asking) void step();
    pause = FIRST;
  }

  function stop(): void {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", onVisible);
  }

  document.addEventListener("visibilitychange", onVisible);
  wait();
  return stop;
}

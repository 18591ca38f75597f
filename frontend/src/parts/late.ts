// The parts that are loaded late. Once the first rows are shown and the browser has nothing to do, they are loaded ahead,
// so that nobody waits for them.

import { defineAsyncComponent } from "vue";

import { loadAhead } from "../model/missing";
import { withTexts } from "../strings/late";

type Loaded = typeof import("./later");
type Parts = Omit<Loaded, "readBulkTexts">;

const parts = (): Promise<Loaded> => import("./later");

export function latePart<Name extends keyof Parts>(name: Name): Parts[Name] {
  return defineAsyncComponent<Parts[Name]>(async () => {
    const loaded = await parts();
    if (name === "ChosenBar") await loaded.readBulkTexts();
    return loaded[name];
  });
}

type Entrance = typeof import("./entrance");
const entrance = withTexts(() => import("./entrance"), () => import("../strings/account"));

/** A part by which people sign in. Nobody who is signed in loads it. */
export function entrancePart<Name extends keyof Entrance>(name: Name): Entrance[Name] {
  return defineAsyncComponent<Entrance[Name]>(async () => (await entrance())[name]);
}

/** A page for those who come by a link. */
export function entrancePage<Name extends keyof Entrance>(name: Name): () => Promise<Entrance[Name]> {
  return async () => (await entrance())[name];
}

export function loadPartsNow(): void {
  void loadAhead(parts);
}

export function loadPartsWhenIdle(): void {
  // Safari has no idle time that it tells of.
  if ("requestIdleCallback" in window) window.requestIdleCallback(loadPartsNow);
  else setTimeout(loadPartsNow, 500);
}

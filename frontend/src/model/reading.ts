// What is read when a part of the page is shown.

import { onMounted, shallowRef, type ShallowRef } from "vue";

import type { Failure } from "../api/problem";
import { asFailure } from "./failure";

export interface Reading<T> {
  /** Undefined until it is read. */
  value: ShallowRef<T | undefined>;
  /** Why it could not be read. What was read before stays. */
  failure: ShallowRef<Failure | undefined>;
  load: () => Promise<void>;
}

/** Read it when the component is shown, and again at each `load`. */
export function useReading<T>(read: () => Promise<T>): Reading<T> {
  const value = shallowRef<T>();
  const failure = shallowRef<Failure>();

  async function load(): Promise<void> {
    failure.value = undefined;
    try {
      value.value = await read();
    } catch (error) {
      failure.value = asFailure(error);
    }
  }

  onMounted(load);
  return { value, failure, load };
}

// The beginning of a list of hundreds. Drawing all of it would make each key wait.

import { computed, type ComputedRef, ref, watch } from "vue";

const STEP = 50;

export function useSome<T>(all: ComputedRef<readonly T[]>): { some: ComputedRef<T[]>; more: (least?: number) => void } {
  const most = ref(STEP);
  const some = computed(() => all.value.slice(0, most.value));
  watch(all, () => (most.value = STEP), { flush: "sync" });

  /** Show some more, so that there are at least this many. */
  function more(least = most.value + STEP): void {
    while (most.value < least && most.value < all.value.length) most.value += STEP;
  }

  return { some, more };
}

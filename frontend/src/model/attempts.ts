// A form by which somebody could guess: after too many attempts, it counts the seconds until the server looks at one again.

import { onScopeDispose, ref, type Ref, watch } from "vue";

import { Problem } from "../api/problem";
import { type Submitting, useSubmitting } from "./submitting";

export interface Attempts extends Submitting {
  /** Seconds to wait before the next attempt. */
  wait: Ref<number>;
}

export function useAttempts(fields: readonly string[] = []): Attempts {
  const submitting = useSubmitting(fields);
  const wait = ref(0);
  let timer: ReturnType<typeof setInterval> | undefined;

  function stop(): void {
    clearInterval(timer);
    wait.value = 0;
  }

  watch(
    submitting.failure,
    (failure) => {
      stop();
      if (!(failure instanceof Problem) || failure.code !== "too_many_attempts") return;
      const end = Date.now() + (failure.retryAfter ?? 0) * 1000; // a tab that is hidden counts more slowly
      const count = (): void => {
        wait.value = Math.max(0, Math.ceil((end - Date.now()) / 1000));
        if (wait.value === 0) stop();
      };
      timer = setInterval(count, 1000);
      count();
    },
    { flush: "sync" },
  );
  onScopeDispose(stop);
  return { ...submitting, wait };
}

// A form that is being sent: one attempt at a time, and what is wrong with it in words.

import { ref, type Ref, shallowRef } from "vue";

import { type Failure, Problem } from "../api/problem";
import { t } from "../strings";
import { asFailure, sentenceOf } from "./failure";

export interface Submitting {
  busy: Ref<boolean>;
  message: Ref<string>;
  /** Why the last attempt failed. */
  failure: Ref<Failure | undefined>;
  /** What is wrong, by the name of a field. */
  errors: Ref<Record<string, string>>;
  /** Resolves to whether it was done. `sentences` are for codes that mean something special here. */
  submit: (work: () => Promise<void>, sentences?: Record<string, string>) => Promise<boolean>;
}

/** `keyed`: the call has an Idempotency-Key, and its next attempt the same, so that nothing is done twice. */
export function useSubmitting(fields: readonly string[] = [], keyed = false): Submitting {
  const busy = ref(false);
  const message = ref("");
  const failure = shallowRef<Failure>();
  const errors = ref<Record<string, string>>({});

  async function submit(work: () => Promise<void>, sentences: Record<string, string> = {}): Promise<boolean> {
    if (busy.value) return false;
    busy.value = true;
    message.value = "";
    failure.value = undefined;
    errors.value = {};
    try {
      await work();
      return true;
    } catch (error) {
      const found = (failure.value = asFailure(error));
      const [pointed, others] = pointedAt(fields, found instanceof Problem ? found.errors : []);
      errors.value = pointed;
      message.value = sentences[found.code] ?? others[0] ?? sentenceOf(found);
      if (found.code === "offline" && !keyed) message.value += ` ${t.trouble.lost}`;
      return false;
    } finally {
      busy.value = false;
    }
  }

  return { busy, message, failure, errors, submit };
}

/** Sort what a problem points at by the fields of the form, and what belongs to none of them. */
export function pointedAt(
  fields: readonly string[],
  pointed: readonly { pointer: string; detail: string }[],
): [Record<string, string>, string[]] {
  const errors: Record<string, string> = {};
  const others: string[] = [];
  for (const { pointer, detail } of pointed) {
    const name = pointer.split("/")[1] ?? "";
    if (!fields.includes(name)) others.push(detail);
    else errors[name] ??= detail;
  }
  return [errors, others];
}

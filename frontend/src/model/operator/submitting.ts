// A form of the console that is being sent. Its refusals have what the server says about the case.

import type { Ref } from "vue";

import type { Failure } from "../../api/problem";
import { sentenceOf } from "../failure";
import { useSubmitting } from "../submitting";
import type { FieldName } from "./actions";

export interface ActionSubmitting {
  busy: Ref<boolean>;
  errors: Ref<Record<string, string>>;
  failure: Ref<Failure | undefined>;
  /** Do the work, unless something is wrong already. */
  send: (wrong: Record<string, string>, work: () => Promise<void>) => Promise<void>;
}

export function useAction(fields: readonly FieldName[]): ActionSubmitting {
  // `as` is the slug of a new tenant.
  const { busy, errors, failure, submit } = useSubmitting([...fields, "as"]);

  async function send(wrong: Record<string, string>, work: () => Promise<void>): Promise<void> {
    errors.value = wrong;
    if (Object.keys(wrong).length > 0 || (await submit(work))) return;
    const { as: slug, ...others } = errors.value;
    if (slug !== undefined) errors.value = { ...others, slug };
    else if (failure.value?.code === "already_exists" && fields.includes("slug")) {
      errors.value = { slug: sentenceOf(failure.value) }; // nothing else of a tenant is unique
    }
  }

  return { busy, errors, failure, send };
}

// For how many days something is to work, as it is written into a field.

import { computed, type ComputedRef, ref, type Ref } from "vue";

import { m } from "../strings/managing";
import { day } from "./times";

export interface Days {
  /** What is written. */
  text: Ref<string | number>;
  /** Null if that is no number of days. */
  number: ComputedRef<number | null>;
  /** The last day, in words; nothing without a number. */
  until: ComputedRef<string>;
}

export function useDays(usual: number): Days {
  const text = ref<string | number>(String(usual));
  const number = computed(() => (/^[1-9]\d{0,4}$/.test(String(text.value).trim()) ? Number(text.value) : null));
  const until = computed(() => (number.value === null ? "" : m.tokens.worksUntil(day(dateIn(number.value)))));
  return { text, number, until };
}

/** The date in so many days, where the person is. */
function dateIn(days: number): string {
  const end = new Date();
  end.setDate(end.getDate() + days);
  return [end.getFullYear(), end.getMonth() + 1, end.getDate()].map((each) => String(each).padStart(2, "0")).join("-");
}

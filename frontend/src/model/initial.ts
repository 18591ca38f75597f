// The letter in front of a name. It may be an emoji, which is several characters of JavaScript.

import { once } from "./once";

const letters = once(() => new Intl.Segmenter(undefined, { granularity: "grapheme" }));

export function initialOf(name: string): string {
  // Before a mark, the letter is but a part of the character.
  const plain = /^\s*([\x21-\x7e])(?:[\x20-\x7e]|$)/.exec(name)?.[1];
  if (plain !== undefined) return plain.toUpperCase();
  for (const { segment } of letters().segment(name.trim())) return segment.toLocaleUpperCase();
  return "";
}

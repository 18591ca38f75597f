// The letter in front of a name. It may be an emoji, which is several characters of JavaScript.

const letters = new Intl.Segmenter(undefined, { granularity: "grapheme" });

export function initialOf(name: string): string {
  for (const { segment } of letters.segment(name.trim())) return segment.toLocaleUpperCase();
  return "";
}

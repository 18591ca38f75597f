// Texts that have code in them, between backticks.

export interface Part {
  text: string;
  isCode: boolean;
}

/** A backtick without another one stays as it is. */
export function partsOf(text: string): Part[] {
  const pieces = text.split(/`([^`]+)`/);
  return pieces.map((piece, index) => ({ text: piece, isCode: index % 2 === 1 })).filter((part) => part.text !== "");
}

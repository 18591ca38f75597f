// Why a file was not taken, in words.

import { isFailure } from "../api/problem";
import { r } from "../strings/rows";
import { textOf } from "../strings/words";
import { sentenceOf } from "./failure";

/** A browser throws an error of its own for a file that it cannot read. */
export function whyNot(error: unknown): string {
  if (error instanceof DOMException) return r.file.gone;
  if (!isFailure(error)) throw error;
  const sentences = { body_too_large: r.file.tooLarge, unsupported_media_type: r.file.type, invalid_query: r.file.name };
  return textOf(sentences, error.code) ?? sentenceOf(error);
}

// The QR code that the server has drawn, as what is needed to draw it here: markup of others is never put into the page.

export interface Drawing {
  viewBox: string;
  path: string;
}

/** Return the drawing of an SVG with one path of strokes, or undefined if it is another one. */
export function drawingOf(svg: string): Drawing | undefined {
  const viewBox = /<svg [^>]*\bviewBox="(\d+ \d+ \d+ \d+)"/.exec(svg)?.[1];
  const path = /<path [^>]*\bd="([Mmh0-9. -]+)"/.exec(svg)?.[1];
  return viewBox && path ? { viewBox, path } : undefined;
}

/** A secret in groups of four characters, as people type it. */
export function grouped(secret: string): string {
  return secret.replace(/.{4}(?=.)/g, "$& ");
}

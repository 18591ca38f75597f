// Reads Markdown apart from the page: some texts take minutes, and a worker can be ended.

import { Marked } from "marked";

// HTML in a text is shown as it is written. To parse it, even only to take it out, would be reported by the browser.
const marked = new Marked({ gfm: true, renderer: { html: ({ text }) => escaped(text) } });

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

self.onmessage = ({ data }: MessageEvent<string>) => {
  self.postMessage(marked.parse(data, { async: false }));
};

// Markdown as elements that are safe to show: whoever writes it may be hostile.

import DOMPurify from "dompurify";
import { Marked } from "marked";

const TAGS = [
  ...["a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre"],
  ...["strong", "table", "tbody", "td", "th", "thead", "tr", "ul", "img"],
];
// HTML in a text is shown as it is written. To parse it, even only to take it out, would be reported by the browser.
const marked = new Marked({ gfm: true, renderer: { html: ({ text }) => escaped(text) } });
const SAFE = /^(https?:|mailto:|#|\/(?!\/))/i;

/** Return what a Markdown text shows. Pictures of others would tell them who reads: they are links. */
export function renderMarkdown(text: string): DocumentFragment {
  const html = marked.parse(text, { async: false });
  const fragment = DOMPurify.sanitize(html, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ["href", "src", "alt", "start"],
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
  for (const image of fragment.querySelectorAll("img")) image.replaceWith(linkTo(image.src, image.alt || image.src));
  for (const link of fragment.querySelectorAll("a")) {
    const href = link.getAttribute("href") ?? "";
    if (!SAFE.test(href)) link.removeAttribute("href");
    link.rel = "noopener noreferrer nofollow";
    link.target = "_blank";
  }
  return fragment;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

function linkTo(href: string, text: string): HTMLAnchorElement {
  const link = document.createElement("a");
  link.setAttribute("href", href);
  link.textContent = text;
  return link;
}

// Markdown as elements that are safe to show: whoever writes it may be hostile.

import DOMPurify from "dompurify";

import workerAddress from "./markdownWorker?worker&url";

const TAGS = [
  ...["a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre"],
  ...["strong", "table", "tbody", "td", "th", "thead", "tr", "ul", "img"],
];
const SAFE = /^(https?:|mailto:|#|\/(?!\/))/i;
const PATIENCE = 2_000; // milliseconds
let worker: Worker | undefined;
let queue: Promise<unknown> = Promise.resolve();

/** Return what a Markdown text shows, or null if that takes too long or cannot be found out. */
export async function renderMarkdown(text: string): Promise<DocumentFragment | null> {
  const html = queue.then(() => htmlOf(text));
  queue = html;
  const read = await html;
  return read === null ? null : safe(read);
}

/** Read one text. If it takes too long, the worker is ended, and the next text has a new one. */
function htmlOf(text: string): Promise<string | null> {
  return new Promise((resolve) => {
    const reader = (worker ??= new Worker(trusted(workerAddress) as string, { type: "module" }));
    const end = (html: string | null): void => {
      clearTimeout(timer);
      if (html === null) {
        reader.terminate();
        worker = undefined;
      }
      resolve(html);
    };
    const timer = setTimeout(() => end(null), PATIENCE);
    reader.onmessage = ({ data }: MessageEvent<string>) => end(data);
    reader.onerror = (event) => {
      event.preventDefault(); // a text that is nested too deeply
      end(null);
    };
    reader.postMessage(text);
  });
}

/** The content security policy lets nothing but this name an address of a script. */
function trusted(address: string): unknown {
  const { trustedTypes } = window as { trustedTypes?: { createPolicy: (name: string, rules: object) => Policy } };
  policy ??= trustedTypes?.createPolicy("tenantapp", { createScriptURL: () => workerAddress });
  return policy ? policy.createScriptURL(address) : address;
}

interface Policy {
  createScriptURL(address: string): unknown;
}
let policy: Policy | undefined;

/** Pictures of others would tell them who reads: they are links. */
function safe(html: string): DocumentFragment {
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

function linkTo(href: string, text: string): HTMLAnchorElement {
  const link = document.createElement("a");
  link.setAttribute("href", href);
  link.textContent = text;
  return link;
}

// The one-time link that the tab was opened by. Its token goes out of the address at once: it is a secret, and addresses are
// kept in histories.

const BEFORE = "/links/";

/** Whether the tab was opened by a link. */
export const openedByLink = typeof window !== "undefined" && window.location.pathname.startsWith(BEFORE);

/** The token; empty if there is none, as after the tab was loaded again. */
export const linkToken = openedByLink ? window.location.hash.slice(1) : "";

if (linkToken) window.history.replaceState(window.history.state, "", window.location.pathname);

/** Another link of the same kind, opened in this tab: to the browser it is the same document. */
if (openedByLink) {
  window.addEventListener("hashchange", () => {
    if (window.location.pathname.startsWith(BEFORE)) window.location.reload();
  });
}

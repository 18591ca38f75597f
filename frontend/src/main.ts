import "./styles/index.css";

import { createApp } from "vue";

import App from "./App.vue";
import { beginSession } from "./api/session";
import { onMissingPart, wantedAfterReload } from "./model/missing";
import { say } from "./model/toasts";
import { readResources } from "./model/workspace";
import { loadPartsNow } from "./parts/late";
import { readTexts, t } from "./strings";
import { directionOf, language } from "./strings/language";
import { router } from "./router";

document.documentElement.lang = language;
document.documentElement.dir = directionOf(language);
// A page that the browser kept whole must not be shown again after a sign-out.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});

// Session and document are read while the rest is being started. The frame of the workspace tells what goes wrong.
const { slug, id } = router.resolve(window.location.pathname).params;
beginSession(typeof slug === "string" ? slug : undefined).catch(() => undefined);
readResources().catch(() => undefined);
if (id) loadPartsNow();

window.addEventListener("vite:preloadError", onMissingPart);
router.beforeEach((to) => wantedAfterReload(to.fullPath));
router.afterEach(() => wantedAfterReload(undefined)); // not called if a part cannot be had

const app = createApp(App).use(router);
app.config.errorHandler = (error) => {
  console.error(error);
  say(t.trouble.fault);
};
// English is here already, so nothing is waited for.
void readTexts().then(() => app.mount("#app"));

import "./styles/index.css";

import { createApp } from "vue";

import App from "./App.vue";
import { beginSession } from "./api/session";
import { readResources } from "./model/workspace";
import { language } from "./strings";
import { router } from "./router";

document.documentElement.lang = language;
// A page that the browser kept whole must not be shown again after a sign-out.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});

// Session and document are read while the rest is being started. The frame of the workspace tells what goes wrong.
const { slug } = router.resolve(window.location.pathname).params;
beginSession(typeof slug === "string" ? slug : undefined).catch(() => undefined);
readResources().catch(() => undefined);

createApp(App).use(router).mount("#app");

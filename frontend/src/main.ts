import "./styles/index.css";

import { createApp } from "vue";

import App from "./App.vue";
import { beginSession } from "./api/session";
import { language } from "./strings";
import { router } from "./router";

document.documentElement.lang = language;
// A page that the browser kept whole must not be shown again after a sign-out.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});

// The session is read while the rest is being started. The frame of the workspace tells what goes wrong.
const slug = /^\/w\/([^/]+)/.exec(window.location.pathname)?.[1];
beginSession(slug === undefined ? undefined : decodeURIComponent(slug)).catch(() => undefined);

createApp(App).use(router).mount("#app");

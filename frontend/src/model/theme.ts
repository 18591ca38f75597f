// Light, dark, or as the system has it.

import { ref, watchEffect } from "vue";

import { recall, remember } from "./kept";

export const THEMES = ["system", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];

export const theme = ref<Theme>(recall<Theme>("theme", "system"));

watchEffect(() => {
  document.documentElement.dataset.theme = theme.value;
  remember("theme", theme.value);
});

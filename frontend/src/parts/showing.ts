// Which dialog of the whole page is open.

import { ref } from "vue";

export const showing = ref<"switcher" | "keys" | null>(null);

// Counts the changes that this page has made, so that lists are read again. An undo outlives the sheet that offered it.

import { ref } from "vue";

export const changed = ref(0);

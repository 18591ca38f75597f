// Counts the changes that this page has made, so that lists are read again. An undo outlives the sheet that offered it.

import { ref, shallowRef } from "vue";

export const changed = ref(0);

/** The row that the last change has written, until somebody has shown where it is now. */
export const written = shallowRef<{ resource: string; id: string }>();

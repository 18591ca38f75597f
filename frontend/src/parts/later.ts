// What nobody needs before the first list is shown, in one file: late.ts loads it.

export { default as ChosenBar } from "./ChosenBar.vue";
export { default as FilterEditor } from "./FilterEditor.vue";
export { default as KeysHelp } from "./KeysHelp.vue";
export { default as RowSheet } from "./RowSheet.vue";
export { default as Switcher } from "./Switcher.vue";
export { readTexts as readBulkTexts } from "../strings/bulk";

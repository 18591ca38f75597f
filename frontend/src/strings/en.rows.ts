// The texts about files: rows from a CSV file, files of a row, and what is within a row.

import { number, plural } from "./words";

export const en = {
  drop: "Or drop it here.",
  sent: (percent: number) => `${percent} % sent`,
  stop: "Stop",
  file: {
    remove: (name: string) => `Remove ${name}`,
    tooLarge: "This file is larger than this installation keeps. Choose a smaller one.",
    type: "This installation keeps no files of this type. Choose another.",
    name: "The name of the file is too long, or has characters that it may not have. Rename it, and choose it again.",
    gone: "The file cannot be read any more, perhaps because it has been changed. Choose it again.",
  },
  within: {
    none: "Nothing here yet.",
    add: (noun: string) => `Add ${noun}`,
    added: (noun: string) => `The ${noun} is added.`,
    edit: (title: string) => `Change “${title}”`,
    remove: (title: string) => `Delete “${title}”`,
    change: "Change",
    delete: "Delete",
    deleteHelp: "This cannot be undone.",
    deleted: (noun: string) => `The ${noun} is deleted.`,
    more: "Show older ones",
  },
  import: {
    title: (label: string) => `Import ${label} from a CSV file`,
    file: "CSV file",
    help: (names: string[]) => `The first line names the columns: ${names.join(", ")}. Either all rows are added, or none.`,
    first: (label: string) => `The first rows of ${label}`,
    unknown: "unknown",
    unknowns: (heads: string[]) => `These columns cannot be imported: ${heads.join(", ")}. Remove or rename them, and choose the file again.`,
    missing: (labels: string[]) => `There is no column for ${labels.join(", ")}, which each row needs.`,
    unfit: {
      empty: "The file is empty.",
      encoding: "The file is not in UTF-8; it may be in Latin-1 or Windows-1252. Save it as CSV in UTF-8, and choose it again.",
      semicolons: "There are semicolons between the columns. Save it with commas, and choose it again.",
      broken: "This does not look like a CSV file. Save it as CSV, and choose it again.",
    },
    check: "Check only",
    start: "Import",
    adding: "The rows are being added.",
    checking: "The rows are being checked.",
    right: (count: number) => `All is well: ${plural(count, "row", "rows")} can be added.`,
    added: (count: number) => `${plural(count, "row is", "rows are")} added.`,
    stoppedLate: "The whole file had been sent before you stopped, so the rows may have been added. Imported again here, they are added only once.",
    wrong: (count: number) => `${plural(count, "line is", "lines are")} wrong, so no row was added. Mend the file, and choose it again.`,
    firstFaults: (count: number) => `The first ${number(count)} faults are listed.`,
    faults: "What is wrong",
    line: "Line",
    column: "Column",
    reason: "Reason",
    wholeLine: "whole line",
    tooLarge: "The file is larger than may be imported at once. Send it in parts.",
    tooManyRows: "The file has more rows than may be imported at once. Send it in parts.",
    gone: "The file cannot be read any more, perhaps because it has been changed. Choose it again.",
  },
};

export type RowStrings = typeof en;

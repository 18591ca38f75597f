// The texts about several rows at once.

import { number, plural } from "./words";

export const en = {
  bar: "Chosen rows",
  chosen: (count: number) => `${plural(count, "row is", "rows are")} chosen`,
  elsewhere: (count: number) => `${number(count)} on other pages`,
  all: (count: number | null) => (count === null ? "Choose all rows of the list" : `Choose all ${number(count)} rows of the list`),
  reading: "Reading…",
  tooMany: (most: number) => `The list has more than ${number(most)} rows, and no more can be changed at once. Add a filter.`,
  othersLeft: (count: number) => `${plural(count, "row belongs", "rows belong")} to others and ${count === 1 ? "is" : "are"} not chosen.`,
  clear: "Choose none",
  change: "Change",
  changeTitle: (count: number) => `Change ${plural(count, "row", "rows")}`,
  field: "Field",
  addField: "Change another field",
  dropField: (label: string) => `Do not change ${label}`,
  how: (label: string) => `What to do with ${label}`,
  hows: { add: "Add to those that are there", remove: "Take away", set: "Put in the place of those that are there" },
  emptied: (label: string) => `${label} will be empty.`,
  nothing: "Write at least one.",
  running: (done: number, all: number) => `${number(done)} of ${number(all)}`,
  changed: (count: number) => `${plural(count, "row is", "rows are")} changed.`,
  deleteTitle: (count: number) => `Delete ${plural(count, "row", "rows")}`,
  deleteAsk: (titles: string) => `You delete ${titles}.`,
  forEver: "This cannot be undone.",
  canUndo: "You can undo it for some seconds afterwards.",
  deleted: (count: number) => `${plural(count, "row is", "rows are")} deleted.`,
  back: (count: number) => `${plural(count, "row is", "rows are")} back.`,
  notBack: (count: number) => `${plural(count, "row", "rows")} could not be put back.`,
  none: "There is nothing left to do it with.",
  leftOut: (count: number) => `Not with ${plural(count, "row", "rows")}:`,
  refused: (count: number) => `${plural(count, "row was", "rows were")} refused:`,
  untried: (count: number) => `${plural(count, "row was", "rows were")} not tried, because all before were refused for the same reason.`,
  stopped: (done: number, all: number) => `It stopped after ${number(done)} of ${plural(all, "row", "rows")}. “Try again” goes on with the others.`,
  gone: "Somebody else has deleted it.",
  notYours: "It belongs to somebody else, and you may not change it.",
  changedSince: "Somebody else has changed it since you chose it. The list shows it as it is now.",
  titles: (titles: string[], more: number) => titles.map((each) => `“${each}”`).join(", ") + (more > 0 ? ` and ${number(more)} more` : ""),
};

export type BulkStrings = typeof en;

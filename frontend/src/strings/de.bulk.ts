// The texts about several rows at once, in German.

import type { BulkStrings } from "./en.bulk";
import { number, plural } from "./words";

function rows(count: number): string {
  return plural(count, "Eintrag", "Einträge");
}

export const de: BulkStrings = {
  bar: "Ausgewählte Einträge",
  chosen: (count) => `${rows(count)} ausgewählt`,
  elsewhere: (count) => `${number(count)} auf anderen Seiten`,
  all: (count) => (count === null ? "Alle Einträge der Liste auswählen" : `Alle ${number(count)} Einträge der Liste auswählen`),
  reading: "Wird gelesen …",
  tooMany: (most) => `Die Liste hat mehr als ${number(most)} Einträge, und mehr lassen sich nicht auf einmal ändern. Fügen Sie einen Filter hinzu.`,
  othersLeft: (count) => `${plural(count, "Eintrag gehört", "Einträge gehören")} anderen und ${count === 1 ? "ist" : "sind"} nicht ausgewählt.`,
  clear: "Auswahl aufheben",
  change: "Ändern",
  changeTitle: (count) => `${rows(count)} ändern`,
  field: "Feld",
  addField: "Weiteres Feld ändern",
  dropField: (label) => `${label} nicht ändern`,
  how: (label) => `Was mit ${label} geschieht`,
  hows: { add: "Zu den vorhandenen hinzufügen", remove: "Wegnehmen", set: "An die Stelle der vorhandenen setzen" },
  emptied: (label) => `${label} wird geleert.`,
  nothing: "Schreiben Sie mindestens einen Wert.",
  running: (done, all) => `${number(done)} von ${number(all)}`,
  changed: (count) => `${plural(count, "Eintrag ist", "Einträge sind")} geändert.`,
  deleteTitle: (count) => `${rows(count)} löschen`,
  deleteAsk: (titles) => `Sie löschen ${titles}.`,
  forEver: "Das lässt sich nicht rückgängig machen.",
  canUndo: "Danach können Sie es einige Sekunden lang rückgängig machen.",
  deleted: (count) => `${plural(count, "Eintrag ist", "Einträge sind")} gelöscht.`,
  back: (count) => `${plural(count, "Eintrag ist", "Einträge sind")} wieder da.`,
  notBack: (count) => `${plural(count, "Eintrag konnte", "Einträge konnten")} nicht wiederhergestellt werden.`,
  none: "Es ist kein Eintrag übrig, mit dem das ginge.",
  leftOut: (count) => `Nicht mit ${plural(count, "Eintrag", "Einträgen")}:`,
  refused: (count) => `${plural(count, "Eintrag wurde", "Einträge wurden")} abgelehnt:`,
  untried: (count) => `${plural(count, "Eintrag wurde", "Einträge wurden")} nicht versucht, weil alle davor aus demselben Grund abgelehnt wurden.`,
  stopped: (done, all) => `Nach ${number(done)} von ${plural(all, "Eintrag", "Einträgen")} ging es nicht weiter. „Erneut versuchen“ macht mit den übrigen weiter.`,
  gone: "Jemand anders hat den Eintrag gelöscht.",
  notYours: "Der Eintrag gehört jemand anderem, und Sie dürfen ihn nicht ändern.",
  changedSince: "Jemand anders hat den Eintrag geändert, seit Sie ihn ausgewählt haben. Die Liste zeigt ihn, wie er jetzt ist.",
  titles: (titles, more) => titles.map((each) => `„${each}“`).join(", ") + (more > 0 ? ` und ${number(more)} weitere` : ""),
};

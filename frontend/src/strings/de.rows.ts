// Die Texte über Dateien auf Deutsch: Einträge aus einer CSV-Datei, Dateien eines Eintrags, und was zu einem Eintrag gehört.

import type { RowStrings } from "./en.rows";
import { number, plural } from "./words";

export const de: RowStrings = {
  drop: "Oder legen Sie sie hier ab.",
  sent: (percent: number) => `${percent} % gesendet`,
  stop: "Anhalten",
  import: {
    title: (label: string) => `${label} aus einer CSV-Datei importieren`,
    file: "CSV-Datei",
    help: (names: string[]) => `Die erste Zeile nennt die Spalten: ${names.join(", ")}. Es werden alle Einträge angelegt oder keiner.`,
    first: (label: string) => `Die ersten Zeilen von ${label}`,
    unknown: "unbekannt",
    unknowns: (heads: string[]) => `Diese Spalten lassen sich nicht importieren: ${heads.join(", ")}. Entfernen Sie sie oder benennen Sie sie um, und wählen Sie die Datei erneut.`,
    missing: (labels: string[]) => `Es fehlt eine Spalte für ${labels.join(", ")}. Jeder Eintrag braucht diese Angabe.`,
    unfit: {
      empty: "Die Datei ist leer.",
      encoding: "Die Datei ist nicht in UTF-8, vielleicht in Latin-1 oder Windows-1252. Speichern Sie sie als CSV in UTF-8, und wählen Sie sie erneut.",
      semicolons: "Zwischen den Spalten stehen Semikolons. Speichern Sie die Datei mit Kommas, und wählen Sie sie erneut.",
      broken: "Das sieht nicht wie eine CSV-Datei aus. Speichern Sie sie als CSV, und wählen Sie sie erneut.",
    },
    check: "Nur prüfen",
    start: "Importieren",
    adding: "Die Einträge werden angelegt.",
    checking: "Die Zeilen werden geprüft.",
    right: (count: number) => `Alles in Ordnung: ${plural(count, "Eintrag kann", "Einträge können")} angelegt werden.`,
    added: (count: number) => `${plural(count, "Eintrag ist", "Einträge sind")} angelegt.`,
    wrong: (count: number) => `${plural(count, "Zeile ist", "Zeilen sind")} falsch, deshalb wurde kein Eintrag angelegt. Berichtigen Sie die Datei, und wählen Sie sie erneut.`,
    firstFaults: (count: number) => `Die ersten ${number(count)} Fehler sind aufgeführt.`,
    faults: "Was falsch ist",
    line: "Zeile",
    column: "Spalte",
    reason: "Grund",
    wholeLine: "ganze Zeile",
    tooLarge: "Die Datei ist größer, als auf einmal importiert werden kann. Senden Sie sie in Teilen.",
    tooManyRows: "Die Datei hat mehr Zeilen, als auf einmal importiert werden können. Senden Sie sie in Teilen.",
    gone: "Die Datei lässt sich nicht mehr lesen, vielleicht wurde sie geändert. Wählen Sie sie erneut.",
  },
};

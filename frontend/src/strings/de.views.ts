// The texts of the tree and of builders' components, in German.

import type { ViewStrings } from "./en.views";

export const de: ViewStrings = {
  own: {
    broken: "Diese Seite kann nicht angezeigt werden",
    brokenHelp: "Ein Teil, der eigens für sie gemacht ist, funktioniert nicht. Die Liste zeigt dieselben Einträge. Sagen Sie Ihrer Administration Bescheid.",
    fault: "Ein Teil dieser Seite hat nicht funktioniert. Wenn etwas fehlt, laden Sie ihn neu, oder benutzen Sie die Liste.",
    list: "Liste anzeigen",
    reload: "Neu laden",
  },
  tree: {
    below: (title: string) => `Einträge unter „${title}“`,
    newBelow: (label: string, title: string) => `${label} unter „${title}“`,
    more: "Mehr anzeigen",
    nothing: "Nichts darunter.",
    sort: "Sortiert nach",
    descending: (label: string) => `${label}, absteigend`,
  },
};

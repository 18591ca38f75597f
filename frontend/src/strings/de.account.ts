// The texts of signing in and of the own account, in German.

import type { AccountStrings } from "./en.account";
import { plural } from "./words";

export const de: AccountStrings = {
  attempts: {
    wait: (seconds: number) => `In ${plural(seconds, "Sekunde", "Sekunden")} können Sie es wieder versuchen.`,
  },
  signIn: {
    secondStep: "Weisen Sie sich noch auf eine weitere Art aus.",
    newPassword: "Jemand anderes hat Ihr Passwort gesetzt. Wählen Sie eines, das nur Sie kennen.",
    setPassword: "Passwort setzen und anmelden",
    back: "Zurück",
  },
  proof: {
    title: "Weisen Sie sich noch einmal aus",
    help: "Dafür muss sicher sein, dass Sie es sind. Von Ihren Eingaben geht nichts verloren.",
    nothing: "Hier gibt es nichts, womit Sie sich ausweisen können. Melden Sie sich ab und wieder an.",
    passkeyHelp: "Ihr Browser fragt nach dem Passkey.",
    labels: { password: "Passwort", totp: "Code aus Ihrer Authenticator-App", recovery_code: "Wiederherstellungscode", passkey: "Passkey" },
    actions: { password: "Weiter", totp: "Weiter", recovery_code: "Weiter", passkey: "Passkey benutzen" },
    others: {
      password: "Stattdessen das Passwort benutzen",
      totp: "Stattdessen die Authenticator-App benutzen",
      recovery_code: "Stattdessen einen Wiederherstellungscode benutzen",
      passkey: "Stattdessen einen Passkey benutzen",
    },
  },
  password: {
    new: "Neues Passwort",
    rule: "Mindestens 15 Zeichen, oder 8, wenn Sie einen zweiten Faktor haben. Mehrere Wörter, die nichts miteinander zu tun haben, kann man sich leicht merken.",
    show: "Zeigen, was ich schreibe",
  },
  passkeys: {
    problems: {
      passkey_not_given: "Der Browser hat keinen Passkey bekommen. Versuchen Sie es noch einmal, oder wählen Sie einen anderen Weg.",
      passkey_known: "Dieses Gerät oder dieser Passwortmanager hat für Ihr Konto schon einen Passkey.",
      passkey_not_possible: "An dieser Adresse lassen sich Passkeys nicht benutzen. Wählen Sie einen anderen Weg.",
    },
  },
};

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
    lost: "Passwort verloren?",
    lostTitle: "Passwort verloren",
    loginOrAddress: "Anmeldename oder E-Mail-Adresse",
    lostHelp: "An Ihre bestätigte E-Mail-Adresse wird ein Link geschickt, über den Sie ein neues Passwort setzen. Ohne eine solche Adresse bitten Sie den Betreiber um einen Link.",
    lostSent: "Wenn es ein solches Konto mit einer bestätigten Adresse gibt, ist ein Link dorthin unterwegs. Er gilt 10 Minuten.",
    registerHelp: "Dorthin wird ein Link geschickt, über den es weitergeht.",
    registerSent: "Eine E-Mail an diese Adresse ist unterwegs. Mit dem Link darin geht es weiter.",
    sendLink: "Link schicken",
  },
  links: {
    titles: {
      "confirm-address": "E-Mail-Adresse bestätigen",
      "first-password": "Passwort setzen",
      "reset-password": "Neues Passwort setzen",
      invitation: "Sie sind eingeladen",
      registration: "Konto anlegen",
    },
    incomplete: "Dieser Link ist unvollständig",
    incompleteHelp: "Öffnen Sie ihn noch einmal aus der E-Mail, oder kopieren Sie ihn ganz. Das ist auch nötig, wenn Sie diese Seite neu geladen haben.",
    confirmHelp: "Die Adresse, an die dieser Link ging, wird die Ihres Kontos. Links und Hinweise werden dorthin geschickt.",
    confirm: "Adresse bestätigen",
    confirmed: "Die Adresse ist bestätigt.",
    resetHelp: "Sie werden überall abgemeldet. Ihr zweiter Faktor bleibt.",
    setPassword: "Passwort setzen",
    passwordSet: "Ihr Passwort ist gesetzt. Melden Sie sich damit an.",
    invited: (who: string | null, tenant: string, role: string) => `${who ?? "Jemand aus der Verwaltung"} lädt Sie in den Arbeitsbereich „${tenant}“ ein, mit der Rolle ${role}.`,
    until: (when: string) => `Die Einladung gilt bis ${when}.`,
    signedInAs: (name: string, login: string) => `Sie sind angemeldet als ${name} (${login}). Um sie als jemand anderes anzunehmen, melden Sie sich zuerst ab, und öffnen Sie den Link noch einmal.`,
    signedInAlready: (name: string) => `Sie sind angemeldet als ${name}. Um ein weiteres Konto anzulegen, melden Sie sich zuerst ab, und öffnen Sie den Link noch einmal.`,
    haveAccount: "Ich habe ein Konto",
    makeAccount: "Konto anlegen",
    declined: "Sie haben die Einladung abgelehnt.",
    login: "Anmeldename",
    loginHelp: "Damit melden Sie sich an. Andere können ihn sehen.",
    taken: "Ein Konto mit diesem Anmeldenamen oder dieser Adresse gibt es schon, oder der Arbeitsbereich ist vergeben. Wählen Sie einen anderen Namen, oder melden Sie sich an.",
    tenantName: "Name Ihres Arbeitsbereichs",
    tenantSlug: "Adresse Ihres Arbeitsbereichs",
    tenantSlugHelp: "Kleinbuchstaben, Ziffern und Bindestriche.",
  },
  name: {
    label: "Ihr Name",
    help: "So sehen andere Sie.",
  },
  address: {
    label: "E-Mail-Adresse",
  },
  invitations: {
    accept: "Annehmen",
    decline: "Ablehnen",
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
  organisation: {
    title: "Mit Ihrer Organisation anmelden",
    workspace: "Arbeitsbereich",
    help: "Wie er in seiner Adresse steht, hinter /w/.",
    go: "Zum Identitätsanbieter",
    none: "Dieser Arbeitsbereich hat keinen Identitätsanbieter. Prüfen Sie die Schreibweise, oder melden Sie sich mit Ihrem Passwort an.",
  },
  next: {
    secondFactor: "Im Konto einen einrichten",
    provider: "Über den Identitätsanbieter anmelden",
    signOut: "Abmelden",
  },
  impersonation: {
    title: "Sie arbeiten als jemand anderes",
    as: (person: string, tenant: string) => `Sie arbeiten als ${person} in ${tenant}.`,
    readOnly: "Sie können nur lesen.",
    writes: "Was Sie ändern, wird in diesem Namen geändert.",
    until: (operator: string, when: string, reason: string) => `Sie sind ${operator}. Das endet am ${when}. Der angegebene Grund: ${reason}`,
    end: "Beenden und abmelden",
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

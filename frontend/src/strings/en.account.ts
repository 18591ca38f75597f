// The texts of signing in and of the own account.

import { plural } from "./words";

export const en = {
  attempts: {
    wait: (seconds: number) => `You can try again in ${plural(seconds, "second", "seconds")}.`,
  },
  signIn: {
    secondStep: "Prove by one thing more that it is you.",
    newPassword: "Somebody else has set your password. Choose one that only you know.",
    setPassword: "Set the password and sign in",
    back: "Back",
  },
  proof: {
    title: "Prove that it is you",
    help: "For what you are about to do, the page has to be sure. Nothing that you have written is lost.",
    nothing: "There is nothing here that you could prove it by. Sign out, and sign in again.",
    passkeyHelp: "Your browser asks for the passkey.",
    labels: { password: "Password", totp: "Code of your authenticator app", recovery_code: "Recovery code", passkey: "Passkey" },
    actions: { password: "Continue", totp: "Continue", recovery_code: "Continue", passkey: "Use a passkey" },
    others: {
      password: "Use the password instead",
      totp: "Use the authenticator app instead",
      recovery_code: "Use a recovery code instead",
      passkey: "Use a passkey instead",
    },
  },
  password: {
    new: "New password",
    rule: "At least 15 characters, or 8 if you have a second factor. Several words that have nothing to do with each other are easy to remember.",
    show: "Show what I write",
  },
  passkeys: {
    problems: {
      passkey_not_given: "The browser got no passkey. Try again, or choose another way.",
      passkey_known: "This device or password manager has a passkey for your account already.",
      passkey_not_possible: "Passkeys cannot be used at this address. Choose another way.",
    } as Record<string, string>,
  },
};

export type AccountStrings = typeof en;

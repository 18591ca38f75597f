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
    lost: "Lost your password?",
    lostTitle: "Lost your password",
    loginOrAddress: "Login or mail address",
    lostHelp: "You get a link to your confirmed mail address, by which you set a new password. Without such an address, ask an operator for a link.",
    lostSent: "If there is such an account and it has a confirmed address, a link is on its way there. It works for 10 minutes.",
    registerHelp: "You get a link there, by which you go on.",
    registerSent: "A mail is on its way to this address. Go on with its link.",
    sendLink: "Send a link",
  },
  links: {
    titles: {
      "confirm-address": "Confirm your mail address",
      "first-password": "Set your password",
      "reset-password": "Set a new password",
      invitation: "You are invited",
      registration: "Create an account",
    } as Record<string, string>,
    incomplete: "This link is not complete",
    incompleteHelp: "Open it again from the mail, or copy all of it. If you have loaded this page again, that is why.",
    confirmHelp: "The address from which you have opened this link becomes that of your account. Links and notices are sent there.",
    confirm: "Confirm the address",
    confirmed: "The address is confirmed.",
    resetHelp: "You are signed out everywhere. Your second factor stays.",
    setPassword: "Set the password",
    passwordSet: "Your password is set. Sign in with it.",
    invited: (who: string | null, tenant: string, role: string) => `${who ?? "An administrator"} invites you to the workspace “${tenant}”, with the role ${role}.`,
    until: (when: string) => `The invitation works until ${when}.`,
    signedInAs: (name: string, login: string) => `You are signed in as ${name} (${login}). To accept as somebody else, sign out first, and open the link again.`,
    signedInAlready: (name: string) => `You are signed in as ${name}. To make another account, sign out first, and open the link again.`,
    haveAccount: "I have an account",
    makeAccount: "Create an account",
    declined: "You have declined the invitation.",
    login: "Login",
    loginHelp: "By which you sign in. Others may see it.",
    taken: "There is an account with this login or address already, or the workspace has been taken. Choose another login, or sign in.",
    tenantName: "Name of your workspace",
    tenantSlug: "Address of your workspace",
    tenantSlugHelp: "Small letters, digits and hyphens.",
  },
  name: {
    label: "Name",
    help: "As others see you.",
  },
  address: {
    label: "Mail address",
  },
  invitations: {
    accept: "Accept",
    decline: "Decline",
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
  organisation: {
    title: "Sign in with your organisation",
    workspace: "Workspace",
    help: "As it is in its address, behind /w/.",
    go: "Go to the identity provider",
    none: "This workspace has no identity provider. Look at its spelling, or sign in with your password.",
  },
  next: {
    secondFactor: "Set one up in your account",
    provider: "Sign in by the identity provider",
    signOut: "Sign out",
  },
  impersonation: {
    title: "You work as somebody else",
    as: (person: string, tenant: string) => `You work as ${person} in ${tenant}.`,
    readOnly: "You can only read.",
    writes: "What you change is changed in their name.",
    until: (operator: string, when: string, reason: string) => `You are ${operator}. It ends at ${when}. The reason given: ${reason}`,
    end: "End it, and sign out",
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

// Who is signed in. The tenant is that of the address of this tab, never one that another tab has selected.

import { ref, shallowRef, watch } from "vue";

import type { Device, GetSessionData, GetSessionsData, PostSessionData, Session } from "../../generated/api/types.gen";
import { onRemembered, recall, remember } from "../model/kept";
import { forgetAllUnsaved } from "../model/unsaved";
import { type Answer, call, guardCalls } from "./http";
import { Problem } from "./problem";

const SESSION: (GetSessionData | PostSessionData)["url"] = "/api/v1/session";
const SESSIONS: GetSessionsData["url"] = "/api/v1/sessions";

/** A browser in which nobody has signed in need not ask. Its cookie is hidden from scripts. */
const SIGNED_IN = "signed-in";
/** What the other tabs of the browser are told: who has signed in, and when somebody has signed out. */
const PERSON = "person";
const SIGNED_OUT = "signed-out";
/** The session; null if nobody is signed in, undefined until that is known. */
export const session = shallowRef<Session | null>();
watch(session, (found) => {
  if (found !== undefined) remember(SIGNED_IN, found !== null);
  if (found) remember(PERSON, found.user.id);
});
/** Whether the person is asked for the password, because the session has expired in the middle of the work. */
export const askingAgain = ref(false);
let answered: ((signedIn: boolean) => void)[] = [];

/** Read the session that the page begins with, if there may be one. */
export async function beginSession(tenant?: string): Promise<void> {
  if (recall(SIGNED_IN, false)) await readSession(tenant);
  else session.value = null;
}

/** Read the session, with the roles and permissions in a tenant. */
export async function readSession(tenant?: string): Promise<Session | null> {
  try {
    const read = await call<Session>("GET", SESSION, { tenant });
    session.value = read.data;
  } catch (error) {
    if (!(error instanceof Problem && error.status === 401)) throw error;
    session.value = null;
  }
  return session.value ?? null;
}

/** Sign in. Throws the problem `invalid_credentials`. */
export async function signIn(login: string, password: string): Promise<void> {
  const made: Answer<Session> = await call("POST", SESSION, { body: { login, password } });
  session.value = made.data;
}

/** Sign in again in place, and let the calls go on that wait for it. */
export async function signInInPlace(login: string, password: string, tenant: string | undefined): Promise<void> {
  await signIn(login, password);
  if (tenant !== undefined) await readSession(tenant);
  settle(true);
}

/** Do not sign in again: the page begins anew, and nothing that was private is left in memory. */
export function giveUp(): void {
  forgetAllUnsaved();
  remember(SIGNED_IN, false);
  window.location.reload();
}

/** What another tab does to the session holds for this one, so that it goes on showing nothing of the other person. */
export function followOtherTabs(): void {
  onRemembered(SIGNED_OUT, () => {
    forgetAllUnsaved();
    window.location.reload();
  });
  onRemembered(PERSON, (person) => {
    if (session.value && session.value.user.id !== person) window.location.reload();
  });
}

/** End the session, and forget all that the page has shown. */
export async function signOut(): Promise<void> {
  try {
    await call("DELETE", SESSION);
  } catch (error) {
    if (!(error instanceof Problem && error.status === 401)) throw error;
  }
  remember(SIGNED_IN, false);
  remember(SIGNED_OUT, Date.now());
  forgetAllUnsaved();
  // A new document: nothing that was private is left in memory.
  window.location.replace("/");
}

export async function readDevices(): Promise<Device[]> {
  const read = await call<{ items: Device[] }>("GET", SESSIONS);
  return read.data.items;
}

export async function endDevice(id: string): Promise<void> {
  await call("DELETE", `${SESSIONS}/${id}`);
}

function settle(signedIn: boolean): void {
  askingAgain.value = false;
  for (const resolve of answered.splice(0)) resolve(signedIn);
}

guardCalls({
  csrfToken: () => session.value?.csrf_token,
  renew: async (tenant) => {
    const person = session.value?.user.id;
    const read = await readSession(tenant);
    if (person === undefined || read?.user.id === person) return;
    // Somebody else has signed in: what this person wrote must not be sent in the name of the other.
    window.location.reload();
    await new Promise(() => undefined);
  },
  signInAgain: () => {
    if (!session.value) return Promise.resolve(false); // nobody was signed in
    askingAgain.value = true;
    return new Promise((resolve) => answered.push(resolve));
  },
});

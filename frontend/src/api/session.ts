// Who is signed in. The tenant is that of the address of this tab, never one that another tab has selected.

import { ref, shallowRef, watch } from "vue";

import type {
  Device,
  GetSessionData,
  GetSessionsData,
  PostSessionData,
  PostReauthenticationData,
  Session,
} from "../../generated/api/types.gen";
import { onRemembered, recall, remember } from "../model/kept";
import { forgetAllUnsaved } from "../model/unsaved";
import { type Answer, call, guardCalls } from "./http";
import type { Json } from "./json";
import { Problem } from "./problem";

const SESSION: (GetSessionData | PostSessionData)["url"] = "/api/v1/session";
const SESSIONS: GetSessionsData["url"] = "/api/v1/sessions";
const AGAIN: PostReauthenticationData["url"] = "/api/v1/session/reauthentication";

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
/** What the person is asked for in the middle of the work: to sign in, because the session has expired, or a proof. */
export const asking = ref<"sign-in" | "proof" | null>(null);
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

/** Take a step of a sign-in. Throws a problem with a `challenge` if another one follows. */
export async function signIn(step: Record<string, Json>): Promise<void> {
  const made: Answer<Session> = await call("POST", SESSION, { body: step });
  // Somebody else has signed in: nothing that was private is left in memory.
  if (session.value && session.value.user.id !== made.data.user.id) return beginAnew();
  session.value = made.data;
}

/** The person has signed in again in place: let the calls go on that wait for it. */
export async function goOn(tenant: string | undefined): Promise<void> {
  if (tenant !== undefined) await readSession(tenant);
  settle(true);
}

/** Prove in place that it is still this person, and let the calls go on that wait for it. */
export async function proveAgain(proof: Record<string, Json>): Promise<void> {
  renewed((await call<Session>("POST", AGAIN, { body: proof })).data);
  settle(true);
}

/** The session has another token now. The roles are those in the tenant of this tab, as before. */
export function renewed({ csrf_token, expires_at, factors, authenticated_at }: Session): void {
  if (session.value) session.value = { ...session.value, csrf_token, expires_at, factors, authenticated_at };
}

/** Prove nothing: what was to be done is refused. */
export function giveUpProof(): void {
  settle(false);
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
  leave();
}

/** The session has ended for all tabs: nothing that was private is left in the browser. */
export function leave(): void {
  remember(SIGNED_IN, false);
  remember(SIGNED_OUT, Date.now());
  forgetAllUnsaved();
  window.location.replace("/"); // a new document, with nothing in memory
}

export async function readDevices(): Promise<Device[]> {
  const read = await call<{ items: Device[] }>("GET", SESSIONS);
  return read.data.items;
}

/** End all other sessions of the person. */
export async function endOtherDevices(): Promise<void> {
  await call("DELETE", SESSIONS);
}

export async function endDevice(id: string): Promise<void> {
  await call("DELETE", `${SESSIONS}/${id}`);
}

/** Whoever signs in has proved as much as a proof does, so a sign-in takes its place. */
function ask(what: "sign-in" | "proof"): Promise<boolean> {
  if (!session.value) return Promise.resolve(false); // nobody was signed in
  if (session.value.impersonation && what === "sign-in") giveUp(); // it is over, and nobody has this person's password
  if (asking.value !== "sign-in") asking.value = what;
  return new Promise((resolve) => answered.push(resolve));
}

function settle(done: boolean): void {
  asking.value = null;
  for (const resolve of answered.splice(0)) resolve(done);
}

/** Load the page again. What waits for it never goes on. */
async function beginAnew(): Promise<void> {
  window.location.reload();
  await new Promise(() => undefined);
}

guardCalls({
  csrfToken: () => session.value?.csrf_token,
  renew: async (tenant) => {
    const person = session.value?.user.id;
    const read = await readSession(tenant);
    if (person === undefined || read?.user.id === person) return;
    // Somebody else has signed in: what this person wrote must not be sent in the name of the other.
    await beginAnew();
  },
  signInAgain: () => ask("sign-in"),
  proveAgain: () => ask("proof"),
});

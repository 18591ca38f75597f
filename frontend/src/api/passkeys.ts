// What the browser does with passkeys (WebAuthn Level 3). The server makes the options, and reads what is signed.

import { Problem } from "./problem";
import type { Json } from "./json";

/** Options of the server, and the token of the challenge that they are for. */
export interface AskedPasskey {
  token: string;
  passkey_options: object;
}

/** Whether this browser can have passkeys at all. Without https it has none, but on this machine. */
export function canHavePasskeys(): boolean {
  return typeof PublicKeyCredential !== "undefined" && "parseRequestOptionsFromJSON" in PublicKeyCredential;
}

/** Have a passkey sign. Throws a `Problem` of the page if nothing was signed. */
export function signedBy({ token, passkey_options }: AskedPasskey): Promise<{ challenge: string; passkey: Json }> {
  return answered(token, () => {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(passkey_options as PublicKeyCredentialRequestOptionsJSON);
    return navigator.credentials.get({ publicKey });
  });
}

/** Have a passkey made. Throws a `Problem` of the page if none was made. */
export function madePasskey({ token, passkey_options }: AskedPasskey): Promise<{ challenge: string; passkey: Json }> {
  return answered(token, () => {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(passkey_options as PublicKeyCredentialCreationOptionsJSON);
    return navigator.credentials.create({ publicKey });
  });
}

async function answered(
  challenge: string,
  ask: () => Promise<Credential | null>,
): Promise<{ challenge: string; passkey: Json }> {
  try {
    const credential = (await ask()) as PublicKeyCredential | null;
    if (credential) return { challenge, passkey: credential.toJSON() as unknown as Json };
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    throw refused(error.name);
  }
  throw refused("NotAllowedError");
}

const CODES: Record<string, string> = {
  NotAllowedError: "passkey_not_given", // given up, too late, or there is none: browsers tell nobody which
  AbortError: "passkey_not_given",
  InvalidStateError: "passkey_known",
};

function refused(name: string): Problem {
  return new Problem(0, { code: CODES[name] ?? "passkey_not_possible" }, new Headers());
}

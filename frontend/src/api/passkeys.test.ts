import { afterEach, describe, expect, it, vi } from "vitest";

import { type AskedPasskey, canHavePasskeys, madePasskey, signedBy } from "./passkeys";

const ASKED: AskedPasskey = { token: "of-the-challenge", passkey_options: { challenge: "AQID" } };

/** A browser that reads options as `read`, and whose authenticator does this. */
function browser(ask: () => Promise<unknown>): object[] {
  const seen: object[] = [];
  const read = (options: object): object => ({ read: options });
  const asked = (given: object): Promise<unknown> => {
    seen.push(given);
    return ask();
  };
  vi.stubGlobal("PublicKeyCredential", { parseRequestOptionsFromJSON: read, parseCreationOptionsFromJSON: read });
  vi.stubGlobal("navigator", { credentials: { get: asked, create: asked } });
  return seen;
}

describe("a passkey", () => {
  afterEach(() => void vi.unstubAllGlobals());

  it("signs what the server has asked, and goes back with the token of the challenge", async () => {
    const seen = browser(() => Promise.resolve({ toJSON: () => ({ id: "key" }) }));
    const expected = { challenge: "of-the-challenge", passkey: { id: "key" } };
    expect([await signedBy(ASKED), await madePasskey(ASKED)]).toEqual([expected, expected]);
    expect(seen).toEqual(Array(2).fill({ publicKey: { read: ASKED.passkey_options } }));
  });

  it.each([
    ["NotAllowedError", "passkey_not_given"],
    ["AbortError", "passkey_not_given"],
    ["InvalidStateError", "passkey_known"],
    ["SecurityError", "passkey_not_possible"],
  ])("that is refused with %s is a problem", async (name, code) => {
    browser(() => Promise.reject(new DOMException("", name)));
    await expect(madePasskey(ASKED)).rejects.toMatchObject({ code });
  });

  it("is missing where the browser gives none, and a fault of the page stays one", async () => {
    browser(() => Promise.resolve(null));
    await expect(signedBy(ASKED)).rejects.toMatchObject({ code: "passkey_not_given" });
    browser(() => Promise.reject(new TypeError("fault")));
    await expect(signedBy(ASKED)).rejects.toThrow(TypeError);
  });

  it("needs a browser that can have one", () => {
    expect(canHavePasskeys()).toBe(false);
    browser(() => Promise.resolve(null));
    expect(canHavePasskeys()).toBe(true);
  });
});

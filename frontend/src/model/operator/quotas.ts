// What a tenant may use: bytes of storage, and connections to its database. Null is what the settings say.

const UNITS = "KMGT";
const MOST_CONNECTIONS = 100_000;

/** `5GiB`, `500MB` or a number of bytes, as the number of bytes; undefined if it is none. */
export function bytesOf(text: string): number | undefined {
  const found = /^([0-9]{1,15})\s*(?:([KMGT])(i)?B)?$/i.exec(text.trim());
  if (!found) return undefined;
  const [, digits, unit = "", binary] = found;
  const bytes = Number(digits) * (binary ? 1024 : 1000) ** (unit ? UNITS.indexOf(unit.toUpperCase()) + 1 : 0);
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The bytes as they are typed: in the largest unit that leaves a whole number. */
export function typedBytes(bytes: number): string {
  for (const [base, i] of [[1024, "i"], [1000, ""]] as const) {
    for (let step = UNITS.length; step > 0; step -= 1) {
      if (bytes % base ** step === 0) return `${bytes / base ** step} ${UNITS[step - 1]}${i}B`;
    }
  }
  return String(bytes);
}

/** A number of connections that a tenant may have; undefined if it is none. */
export function connectionsOf(text: string): number | undefined {
  const found = /^[0-9]{1,6}$/.test(text.trim()) ? Number(text) : 0;
  return found >= 1 && found <= MOST_CONNECTIONS ? found : undefined;
}

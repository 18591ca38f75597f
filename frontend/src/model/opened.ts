// Which rows of a tree were opened, for as long as the tab lives.

const PREFIX = "tenantapp.opened.";
const MOST = 300; // the last ones; each is read when the tree is shown again

export function openedRows(address: string): string[] {
  try {
    return JSON.parse(sessionStorage.getItem(PREFIX + address) ?? "[]") as string[];
  } catch {
    return [];
  }
}

export function keepOpened(address: string, ids: Iterable<string>): void {
  try {
    sessionStorage.setItem(PREFIX + address, JSON.stringify([...ids].slice(-MOST)));
  } catch {
    // Full, or not permitted.
  }
}

// The pages of a workspace for those who manage it.

import { t } from "../strings";

interface ManagedPage {
  /** The name of its route. */
  name: string;
  label: string;
  icon: string;
  permission: string;
}

const MEMBERS = "members.manage";
const pages = (): ManagedPage[] => [
  { name: "members", label: t.manage.members, icon: "person", permission: MEMBERS },
  { name: "access", label: t.manage.access, icon: "gear", permission: MEMBERS },
  { name: "exports", label: t.manage.exports, icon: "download", permission: "tenant.export" },
  { name: "audit", label: t.manage.audit, icon: "list", permission: MEMBERS },
];

export function managedPages(permissions: readonly string[]): ManagedPage[] {
  return pages().filter((each) => permissions.includes(each.permission));
}

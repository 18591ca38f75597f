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
const PAGES: ManagedPage[] = [
  { name: "members", label: t.members.title, icon: "person", permission: MEMBERS },
  { name: "access", label: t.access.title, icon: "gear", permission: MEMBERS },
  { name: "exports", label: t.exports.title, icon: "download", permission: "tenant.export" },
  { name: "audit", label: t.audit.title, icon: "list", permission: MEMBERS },
];

export function managedPages(permissions: readonly string[]): ManagedPage[] {
  return PAGES.filter((each) => permissions.includes(each.permission));
}

/** A permission in words; those of a domain have only their name. */
export function permissionLabel(permission: string): string {
  return t.manage.permissions[permission] ?? permission;
}

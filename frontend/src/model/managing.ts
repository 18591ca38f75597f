// The pages of a workspace for those who manage it.

import { computed } from "vue";
import type { LocationQueryValue } from "vue-router";

import { session } from "../api/session";
import { t } from "../strings";

interface ManagedPage {
  /** The name of its route. */
  name: string;
  label: string;
  icon: string;
  permission: string;
}

/** Operators who work as somebody else only look at what manages the workspace. The server refuses the rest. */
export const mayManage = computed(() => !session.value?.impersonation);

const MEMBERS = "members.manage";
const EXPORT = "tenant.export"; // which they may not even look at
const pages = (): ManagedPage[] => [
  { name: "members", label: t.manage.members, icon: "person", permission: MEMBERS },
  { name: "access", label: t.manage.access, icon: "gear", permission: MEMBERS },
  { name: "security", label: t.manage.security, icon: "lock", permission: MEMBERS },
  { name: "webhooks", label: t.manage.webhooks, icon: "mail", permission: "webhooks.manage" },
  { name: "jobs", label: t.manage.jobs, icon: "check", permission: "jobs.manage" },
  { name: "exports", label: t.manage.exports, icon: "download", permission: EXPORT },
  { name: "audit", label: t.manage.audit, icon: "list", permission: MEMBERS },
];

/** The first value of a parameter of the address, or nothing. */
export function firstOf(value: LocationQueryValue | LocationQueryValue[] | undefined): string {
  return (Array.isArray(value) ? value[0] : value) ?? "";
}

/** Those that are not empty. */
export function given(filters: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(filters).filter(([, value]) => value !== ""));
}

export function managedPages(permissions: readonly string[]): ManagedPage[] {
  const held = permissions.filter((each) => each !== EXPORT || mayManage.value);
  return pages().filter((each) => held.includes(each.permission));
}

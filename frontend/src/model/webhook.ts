// What webhooks and their messages are called on the page.

import type { Delivery, Webhook } from "../../generated/api/types.gen";
import { m } from "../strings/managing";
import { textOf } from "../strings/words";
import type { Resource } from "./resource";

/** The state of a webhook: on, failing, or why it is off. */
export function stateOf({ active, failures, off_reason: reason }: Webhook): string {
  if (active) return failures > 0 ? "failing" : "active";
  return reason === "failing" ? "off" : (reason ?? "by_people");
}

/** What was wrong with a webhook, and what to do about it. */
export function noteOf({ active, off_reason: reason }: Webhook): string | undefined {
  return active || reason === null ? undefined : textOf(m.webhooks.notes, reason);
}

/** What people may choose to be told about: what they can read, and what the webhook tells about already. */
export function resourceChoices(resources: readonly Resource[], chosen: readonly string[]): { value: string; label: string }[] {
  const known = resources.map(({ name, label }) => ({ value: name, label }));
  const others = chosen.filter((name) => !resources.some((each) => each.name === name));
  return [...known, ...others.map((name) => ({ value: name, label: name }))];
}

/** What a message is about: `nodes.created` is `Nodes: added`. */
export function messageLabel(type: string, resources: readonly Resource[]): string {
  const [name = "", kind = ""] = type.split(".");
  if (type === "changes.gone") return m.deliveries.gone;
  const label = resources.find((each) => each.name === name)?.label ?? name;
  return textOf(m.deliveries.kinds, kind)?.(label) ?? type;
}

/** The row that a message is about, if it may be there still. */
export function rowOf({ message }: Delivery): { resource: string; id: string } | undefined {
  const { resource, id, kind } = (message.data ?? {}) as Record<string, unknown>;
  if (typeof resource !== "string" || typeof id !== "string" || kind === "deleted") return undefined;
  return { resource, id };
}

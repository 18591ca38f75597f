// The workspace of this tab: the tenant in its address, and the resources that the person may read there.

import { computed, inject, type InjectionKey, type Ref } from "vue";

import type { ChoosableTenant } from "../../generated/api/types.gen";
import { PREFIX } from "../api/http";
import { readJson } from "../api/json";
import { Offline } from "../api/problem";
import { readSession, session } from "../api/session";
import { locale } from "../strings";
import { declarePermissions, registration } from "./declared";
import { recall, remember } from "./kept";
import { once } from "./once";
import { type Document, type Resource, resourcesOf } from "./resource";

const DOCUMENT = `${PREFIX}/openapi.json?part=resources`;
const MOST_RECENT = 5;

export interface Workspace {
  slug: string;
  name: string;
  permissions: readonly string[];
  person: string;
  resources: Resource[];
  all: Resource[];
}

export const WORKSPACE: InjectionKey<Ref<Workspace>> = Symbol("workspace");

export function useWorkspace(): Ref<Workspace> {
  const workspace = inject(WORKSPACE);
  if (!workspace) throw new Error("outside a workspace");
  return workspace;
}

/** Read what the person may do in the workspace again, after they have changed their own roles. */
export async function renewRights(workspace: Ref<Workspace>): Promise<void> {
  const { slug } = workspace.value;
  const read = await readSession(slug);
  setRights(workspace, read?.tenant?.slug === slug ? read.permissions : []);
}

/** Let the menus and pages follow. Pages that are read again when rights change would be so for ever, if none had. */
export function setRights(workspace: Ref<Workspace>, permissions: readonly string[]): void {
  const { all, permissions: former } = workspace.value;
  if (permissions.join() === former.join()) return;
  const resources = all.filter((each) => permissions.includes(each.permissions.read));
  workspace.value = { ...workspace.value, permissions, resources };
}

let described: Promise<Resource[]> | undefined;

/** Read the document once. It is the same for all tenants and people. */
export function readResources(): Promise<Resource[]> {
  described ??= fetchDocument().catch((error: unknown) => {
    described = undefined;
    throw error;
  });
  return described;
}

async function fetchDocument(): Promise<Resource[]> {
  // The browser may keep it, and asks with its ETag whether it still holds.
  const answer = await fetch(DOCUMENT, { cache: "no-cache" }).catch(() => undefined);
  if (!answer?.ok) throw new Offline();
  const document = readJson(await answer.text()) as unknown as Document;
  declarePermissions(document["x-permissions"] ?? {});
  registration.value = document["x-registration"] ?? "closed";
  return resourcesOf(document);
}

function recentName(): string {
  return `recent.${session.value?.user.id ?? ""}`;
}

/** The slugs of the workspaces that the person entered last, the last one first. */
export function recent(): string[] {
  return recall<string[]>(recentName(), []);
}

export function enter(slug: string): void {
  remember(recentName(), [slug, ...recent().filter((each) => each !== slug)].slice(0, MOST_RECENT));
}

type Choice = ChoosableTenant;

const names = once(() => new Intl.Collator(locale, { numeric: true }));

/** The person's workspaces: the recent ones first, then by name. */
export const choices = computed<Choice[]>(() => {
  const order = recent();
  const place = (each: Choice): number => (order.includes(each.slug) ? order.indexOf(each.slug) : order.length);
  return [...(session.value?.tenants ?? [])].sort(
    (one, other) => place(one) - place(other) || names().compare(one.name, other.name),
  );
});

/** Those whose name or slug has all the words, in any order. Those that begin with what was written come first. */
export function choicesWith(all: readonly Choice[], words: string): Choice[] {
  const wanted = folded(words).split(/\s+/).filter(Boolean);
  const [begin] = wanted;
  if (begin === undefined) return [...all];
  const found = all
    .map((choice) => ({ choice, texts: [folded(choice.name), folded(choice.slug)] }))
    .filter(({ texts }) => wanted.every((word) => texts.some((text) => text.includes(word))));
  const place = ({ texts }: { texts: string[] }): number => (texts.some((text) => text.startsWith(begin)) ? 0 : 1);
  return found.sort((one, other) => place(one) - place(other)).map(({ choice }) => choice);
}

const STROKED: Record<string, string> = { ø: "o", ł: "l", đ: "d", æ: "ae", œ: "oe" };

/** A text without case and accents. */
function folded(text: string): string {
  // The capital of ß is SS. Unicode takes ł for no l with a mark.
  const plain = text.normalize("NFKD").replace(/\p{Mn}/gu, "").toUpperCase().toLowerCase();
  return plain.replace(/[øłđæœ]/g, (letter) => STROKED[letter] ?? letter);
}

// What an operation has done, and what can be done with it.

import type { FleetOperation } from "../../api/fleet";
import { exact } from "../times";
import { o } from "../../strings/operator";

export const STATES = ["queued", "running", "undoing", "succeeded", "failed", "cancelled"] as const;
export const KINDS = [
  "create", "delete", "import", "export", "clone", "move", "adopt", "backup", "restore", "restore_as", "migrate",
  "warm", "discard", "discard_export", "sweep_files", "rehearse",
] as const;

export type StepState = "done" | "doing" | "undoing" | "stopped" | "waiting";

export function isFinished(operation: FleetOperation): boolean {
  return ["succeeded", "failed", "cancelled"].includes(operation.state);
}

export function canRetry(operation: FleetOperation): boolean {
  return operation.state === "failed" || operation.state === "cancelled";
}

export function canCancel(operation: FleetOperation): boolean {
  return !isFinished(operation) && !operation.cancel_requested;
}

/** A removal that stopped because no copy was proved may be told to need none. */
export function mayGoWithoutCopy(operation: FleetOperation): boolean {
  return operation.kind === "delete" && operation.arguments.copy !== false;
}

/** The time before which a waiting operation is not begun, while that is still to come. */
export function dueOf({ state, due_at: due }: FleetOperation, now: number = Date.now()): string | undefined {
  return state === "queued" && due && Date.parse(due) > now ? due : undefined;
}

/** What somebody who waits for an operation should know or do. */
export function noteOf(operation: FleetOperation): string | undefined {
  if (isFinished(operation)) return undefined;
  if (operation.worker_gone) return o.operation.gone(operation.worker ?? "");
  const due = dueOf(operation);
  if (due !== undefined) return o.operation.dueHelp(exact(due));
  if (operation.state === "queued") return o.operation.waiting;
  if (operation.state === "undoing") return o.operation.undoing;
  return operation.cancel_requested ? o.operation.cancelling : undefined;
}

/** What to do about an operation that failed: it was undone, or it stays where it stopped. */
export function nextOf(operation: FleetOperation): string {
  return operation.step === null ? o.operation.undone : o.operation.resumes;
}

/** Each step with what became of it. Steps of another version are unknown, and are left out. */
export function stepsOf(operation: FleetOperation): { name: string; state: StepState }[] {
  const { steps, step, state } = operation;
  const at = step === null ? -1 : steps.indexOf(step);
  return steps.map((name, index) => ({ name, state: stateOf(index, at, state) }));
}

function stateOf(index: number, at: number, state: FleetOperation["state"]): StepState {
  if (state === "succeeded" || index < at) return "done";
  if (index > at) return "waiting";
  if (state === "running") return "doing";
  if (state === "undoing") return "undoing";
  return state === "queued" ? "waiting" : "stopped";
}

/** A line for each member of `arguments` or `result`. */
export function linesOf(members: Record<string, unknown>): [string, string][] {
  return Object.entries(members).map(([name, value]) => [
    name,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
}

/** Whether two readings differ in something that is shown. */
export function differs(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) !== JSON.stringify(other);
}

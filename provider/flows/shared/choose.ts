/** How the step choosers of the flows choose among the steps of several disks. Pure. */

import { BugError } from "../../core/errors.js";
import type { FlowStep } from "../../reconciler/flow.js";

/** Steps that flows with a switch have in common. Where one names `disks`, it is one step over all of them. */
export type SwitchStep =
  | { step: "done" }
  | { step: "wait"; disks: string[] }
  | { step: "pivot"; disks: string[] }
  | { step: "end-switch"; disks: string[] }
  | { step: "let-go"; disks: string[] }
  | { step: "cancel"; disks: string[] }
  | { step: "dismiss"; disk: string }
  | { step: "set-back"; disk: string }
  | { step: "tidy"; disk: string }
  | { step: "clear"; disk: string };

/** Which step goes first when disks stand at different places; and steps of one disk that touch no other, which are taken in a row. */
export interface Order<S extends FlowStep> {
  first: readonly S["step"][];
  rows?: readonly S["step"][];
}

/** Of the steps of all disks, the one that goes first, and the same one for the disks that need it too and that it does not touch. */
export function firstOf<S extends FlowStep>({ first, rows = [] }: Order<S>, steps: readonly S[]): [S, ...S[]] | undefined {
  if (steps.length === 0) return undefined;
  const name = first.find((name) => steps.some(({ step }) => step === name));
  const [chosen, ...more] = steps.filter(({ step }) => step === name);
  if (chosen === undefined) throw new BugError(`Steps without a place in the order: ${steps.map(({ step }) => step).join(", ")}.`);
  const step = more.reduce(together, chosen);
  return [step, ...(rows.includes(step.step) ? more : [])];
}

/** Steps over several disks are one step; of the others the first disk's comes first. */
function together<S extends FlowStep>(sum: S, next: S): S {
  return sum.disks && next.disks ? { ...sum, disks: [...sum.disks, ...next.disks] } : sum;
}

interface SwitchingDisk {
  disk: string;
  seen: { phase: string; current?: "source" | "destination" };
}

/**
 * A switch that was cut before `current` was written for every disk: no disk was let go, and what decides may still lead to the source. So
 * none may be let go now: what was written is set back, then all are cancelled.
 */
export function endOfHalfRecorded(disks: readonly SwitchingDisk[]): Extract<SwitchStep, { step: "set-back" | "cancel" }> | undefined {
  if (disks.some(({ seen }) => seen.phase === "switch-cut")) return undefined;
  const pending = disks.filter(({ seen }) => seen.phase === "pending");
  if (pending.every(({ seen }) => seen.current !== "source")) return undefined;
  const written = pending.find(({ seen }) => seen.current === "destination");
  return written ? { step: "set-back", disk: written.disk } : { step: "cancel", disks: pending.map(({ disk }) => disk) };
}

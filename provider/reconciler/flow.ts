/** A flow as data for the one loop (loop.ts): what is observed, which step comes next, what each step does, and its words. */

import type { Job } from "../core/disk/job.js";
import { BugError } from "../core/errors.js";
import type { Run } from "../core/lifecycle.js";
import type { Host } from "../host/host.js";
import type { Guest } from "../hypervisor/hypervisor.js";

/** What every flow is given: where it takes place, and the run that does it. Nothing here remembers. */
export interface FlowContext {
  host: Host;
  guest: Guest;
  run: Run;
  options: FlowOptions;
}

export interface FlowOptions {
  /** Seconds without any progress after which a wait is given up. */
  stallSeconds: number;
  /** Of each job; 0: no limit. */
  maxBytesPerSecond: number;
}

/** One disk as the loop sees it. */
export interface DiskObservation {
  /** The user's name of it. */
  disk: string;
  seen: { phase: string; job?: Job };
  /** The active image, as QEMU names it. */
  active: { named: string };
  manifest?: { current: string };
}

/** One observation of all disks of a flow. */
export interface Observation<D extends DiskObservation = DiskObservation> {
  disks: readonly D[];
}

/** One step: over one disk, or over several at once. `done` is the last one. */
export interface FlowStep {
  readonly step: string;
  readonly disk?: string;
  readonly disks?: readonly string[];
}

/** A step that does something. */
export type Work<S extends FlowStep> = Exclude<S, { step: "done" }>;

/** What each step does: exhaustive by type. `T`: what the flow's steps need besides. */
export type Deeds<T, O, S extends FlowStep> = {
  readonly [N in Work<S>["step"]]: (tools: T, seen: O, step: Extract<S, { step: N }>) => Promise<unknown>;
};

export interface Flow<T, O extends Observation, S extends FlowStep> {
  readonly tools: T;
  /** Changes nothing, remembers nothing. */
  observe(): Promise<O>;
  /** Pure, over all disks. The next step, and the same one for the disks that need it too and that it does not touch: they are taken in a row. */
  next(seen: O): readonly [S, ...S[]];
  readonly deeds: Deeds<T, O, S>;
  /** Steps that load the host's storage, or begin what will: they wait for a slot of the host. What lets a guest go on never waits. */
  readonly loading: ReadonlySet<S["step"]>;
  /** Steps that end the wait of a guest's I/O: they are taken also in a run that is asked to stop. */
  readonly releasing: ReadonlySet<S["step"]>;
  /** Before a row of steps, once for all of its disks. @throws UserError if something stands against it */
  checkRow?(seen: O, steps: readonly [Work<S>, ...Work<S>[]]): Promise<void>;
  /** Right before each step. @returns `skip` where the step is not to be taken any more @throws UserError if something stands against it */
  checkStep?(seen: O, step: Work<S>, place: "first" | "later"): Promise<"take" | "skip">;
  /** Whether the row is over, whatever is left of it. */
  isRowOver?(): boolean;
  words: {
    /** What else a user can do with a run that was stopped: `, or \`pulumi destroy\` to undo it`. */
    undoHint: string;
  };
}

export function disksOf(step: FlowStep): readonly string[] {
  return step.disks ?? (step.disk === undefined ? [] : [step.disk]);
}

/** The image that a boot must find. */
export function currentOf({ manifest, active }: DiskObservation): string {
  return manifest?.current ?? active.named;
}

export function diskNamed<D extends DiskObservation>({ disks }: Observation<D>, disk: string): D {
  const found = disks.find((candidate) => candidate.disk === disk);
  if (!found) throw new BugError(`A step was chosen for ${disk}, which was not observed.`);
  return found;
}

export function disksNamed<D extends DiskObservation>(seen: Observation<D>, disks: readonly string[]): D[] {
  return disks.map((disk) => diskNamed(seen, disk));
}

/** The switch on QEMU: a plan as data, carried out by the worker without a word from here. */

import { z } from "zod";
import type { Identity } from "./identity.js";
import type { MonitorPeer, WorkerMonitor } from "./monitors.js";
import { changes } from "./operation.js";
import type { Place } from "./place.js";
import type { Worker } from "./worker.js";

/** One file gets another name. */
export interface SwitchMove {
  from: Place;
  to: Place;
  /** What is moved, under either name. */
  file: Identity;
  /** What is put under the new name again when a replacing move is reverted. Null: the new name must be free. */
  back: { place: Place; file: Identity } | null;
}

export interface SwitchDisk {
  job: string;
  /** As QEMU's block query names it. */
  device: string;
  /** The node that is active after the pivot: the first one below filters. */
  target: string;
  /** The image that it leaves, under the names that it has before and after. */
  places: Place[];
  file: Identity;
}

/** An image whose size and time, as they are while all jobs are pending, are written into a text. */
export interface SwitchMeasure {
  /** The image, under the names that it has before and after. */
  places: Place[];
  file: Identity;
  /** What stands behind them. */
  textBehind: string;
  /** Whether the image is synced first. */
  synced: boolean;
}

/** A text that ends open: sizes and times of images complete it, each with what follows it. */
export interface SwitchText {
  /** Where it may lie. */
  places: Place[];
  file: Identity;
  measures: SwitchMeasure[];
}

export interface SwitchPlan {
  /** The monitor's socket: the way back to a QEMU whose connection broke. */
  socket: string;
  disks: SwitchDisk[];
  /** All jobs must be pending within this time; afterwards nothing has a deadline. */
  pendingSeconds: number;
  /** Whether QEMU's own image lock is taken on every source. `false` only for guests whose images are not locked. */
  holdSources: boolean;
  /** Completed before the first stage. */
  records: SwitchText[];
  /** Each has a move, and is durable before the next one begins. */
  stages: SwitchMove[][];
  /** The stage that decides: with its moves done there is no way back. */
  commit: number;
  /** Drivers of nodes that pass on what lies below them. */
  filters: readonly string[];
}

/** Without what is QEMU's own. */
export type PlannedSwitch = Omit<SwitchPlan, "socket" | "filters">;

const result = z.object({
  /**
   * `switched`: all disks have their targets. `cancelled`: none has, and the jobs are cancelled; `cancelled-half-way`: but not all names could
   * be given back. `astray`: the disks of these jobs did not pivot although the switch is decided. The other two: QEMU is gone, and the
   * names are those after, or before.
   */
  end: z.enum(["switched", "cancelled", "cancelled-half-way", "astray", "finished-without-qemu", "reverted-without-qemu"]),
  why: z.string().nullable(),
  /** Jobs. */
  astray: z.array(z.string()),
  /** From the first job-complete until the active nodes were looked at after the last job-finalize; absent where it was cancelled, or another child or connection ended it. */
  pauseSeconds: z.number().optional(),
});

export type SwitchResult = z.output<typeof result>;

interface RunArguments {
  monitor: number;
  plan: SwitchPlan;
  locks: readonly number[];
}

type RecoverArguments = Omit<RunArguments, "monitor"> & { pid: number; startTime?: number };

const run = changes<RunArguments, SwitchResult>("switch-run", result);
const recover = changes<RecoverArguments, SwitchResult>("switch-recover", result);

const answerSeconds = 900;

interface SwitchOptions {
  plan: SwitchPlan;
  /** Of the worker's, which must still be held at the begin. A move has asked for its own right before (`HeldPlaces.check`), and gives none. */
  locks: readonly number[];
  /**
   * How long the answer is waited for: the switch itself goes on to its end.
   * @default 900
   */
  deadlineSeconds?: number;
}

export interface RunOptions extends SwitchOptions {
  /** Of the QEMU that has the disks. */
  monitor: WorkerMonitor;
}

export interface RecoverOptions extends SwitchOptions {
  /** The QEMU that had the disks then; while it lives it must be reachable. */
  peer: MonitorPeer;
}

/**
 * From jobs that are all ready to the end, whatever becomes of this client.
 * @throws WorkerError `other-file` if a file is not where the plan says, `lock-lost`: nothing has been changed then
 */
export function runSwitch(worker: Worker, options: RunOptions): Promise<SwitchResult> {
  const { monitor, plan, locks, deadlineSeconds = answerSeconds } = options;
  return worker.request(run, { monitor: monitor.number, plan, locks }, { deadlineSeconds });
}

/** Finishes or reverts a switch whose worker has died, by its commit point. */
export function recoverSwitch(worker: Worker, options: RecoverOptions): Promise<SwitchResult> {
  const { plan, peer, locks, deadlineSeconds = answerSeconds } = options;
  const { pid, startTime } = peer;
  return worker.request(recover, { plan, pid, ...(startTime !== null && { startTime }), locks }, { deadlineSeconds });
}

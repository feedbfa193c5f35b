/** The switch of a guest that libvirt manages: a plan as data, carried out by the worker without a word from here. */

import { z } from "zod";
import { changes } from "./operation.js";
import type { SwitchMove } from "./switching.js";
import type { Worker } from "./worker.js";

/** An image by its path, and which file that is now: libvirt may spell the path otherwise. */
export interface PlannedImage {
  path: string;
  format: string;
  /** As `stat` tells them, decimal. */
  device: string;
  inode: string;
}

export interface LibvirtSwitchDisk {
  /** `vda`. */
  target: string;
  /** The live chain on which its job began, top first. */
  chain: PlannedImage[];
  /** Where its job ends. */
  destination: PlannedImage;
  /** As the `<mirror>` of the disk calls it. */
  job: "copy" | "active-commit";
  /** What gets the manifests' names right before its pivot, and gives them back if that is not made. */
  marks: SwitchMove[];
  /** What gets the manifests' names once the guest is there. */
  manifests: SwitchMove[];
  /** The former image, if it gets its quarantine name. */
  stale: SwitchMove[];
}

export interface LibvirtSwitchPlan {
  uri: string;
  /** Its UUID. */
  domain: string;
  /** The file that is locked as long as the switch goes on: the record of the suspended guest names it. */
  switchLock: string;
  disks: LibvirtSwitchDisk[];
}

const result = z.object({
  /**
   * `switched`: all disks are at their destinations. `stayed`: those that are named are not. `refused`: nothing was done. `strayed`: the chain or job of
   * the disk that is named is another one, and nothing was pivoted. `ended`: the guest's QEMU ended in the middle; the disks that are named start from where they
   * were. `lost`: the same, but that QEMU lives, suspended, and libvirt does not show it any more. `failed`: it cannot be told.
   */
  end: z.enum(["switched", "stayed", "refused", "strayed", "ended", "lost", "failed"]),
  why: z.string().nullable(),
  /** By their targets. */
  disks: z.array(z.string()),
  /** From the suspend to the resume; 0 of a guest that somebody else keeps paused. */
  pauseSeconds: z.number().optional(),
});

export type LibvirtSwitchResult = z.output<typeof result>;

/** While libvirt does not answer, every ten seconds. */
const silence = z.object({
  silentSeconds: z.number(),
  /** Whether the switch has suspended the guest, and has not resumed it. */
  isSuspended: z.boolean(),
});

export type LibvirtSilence = z.output<typeof silence>;

const run = changes<{ plan: LibvirtSwitchPlan; locks: readonly number[] }, LibvirtSwitchResult>("libvirt-switch-run", result);

export interface LibvirtSwitchOptions {
  locks: readonly number[];
  silent?: (silence: LibvirtSilence) => void;
}

/** How long the answer is waited for, also where libvirtd is down meanwhile: the switch itself goes on to its end. */
const answerSeconds = 1800;

/**
 * From jobs that are all ready to the end, whatever becomes of this client.
 * @param options `locks` of the worker's, which must still be held; `silent` is told how long libvirt has not answered
 * @throws WorkerError `other-file` if a file is not where the plan says, `lock-lost`, `no-program`: nothing has been changed then;
 *   `timed-out` if it is not over in half an hour
 */
export function runLibvirtSwitch(worker: Worker, plan: LibvirtSwitchPlan, options: LibvirtSwitchOptions): Promise<LibvirtSwitchResult> {
  const { locks, silent } = options;
  const onEvent = (event: unknown) => silent?.(silence.parse(event));
  return worker.request(run, { plan, locks }, { deadlineSeconds: answerSeconds, onEvent });
}

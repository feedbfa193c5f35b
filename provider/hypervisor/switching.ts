/** What a switch is, whichever hypervisor carries it out (decisions/0003): what it is asked for, and how it has ended. */

import type { LayerFile } from "../core/disk/chain-options.js";
import type { GuestView } from "./guest-view.js";

/** One disk's part in a switch that was cut: whatever job it is that ends, a copy's pivot or a commit's. */
export interface CutDisk {
  /** As the hypervisor names the device. */
  qdev: string;
  job: { id: string; kind: "copy" | "active-commit" };
  /** What is active once the job has pivoted: the first node below filters. */
  node: string;
  /** Where the disk is before. */
  source: string;
  stale?: Stale;
}

export interface DiskSwitch extends CutDisk {
  /** The live chain, top first. */
  chain: readonly LayerFile[];
  /** Where the job ends. */
  target: LayerFile;
  manifests: readonly ManifestSwitch[];
}

/** What a manifest says now, while the pivot is made, and from then on. */
export interface ManifestSwitch {
  path: string;
  now: string;
  /** Whole, or to be completed in the switch. */
  next: OpenText | readonly [whole: string];
  /** Where the images alone would not tell afterwards that the pivot was made; only libvirt makes it while no record decides. */
  mark?: string;
}

/** A text up to the size and time of `source`, as they are when the guest writes no more; what follows these; and what follows those of `target`. */
export type OpenText = readonly [head: string, afterSource: string, afterTarget: string];

/** The image that a boot by its old name would find stale, and the name that it gets. */
export interface Stale {
  active: string;
  quarantine: string;
  /**
   * A raw image that job-finalize leaves without a writer is opened again by its old name, read-only, unless its node forbids that
   * (raw_reconfigure_getfd() in block/file-posix.c, `auto-read-only`, which -drive turns on; QEMU 7.2), and without a file of that name
   * the pivot fails. So an empty file takes its place until the move is tidied: a boot finds no disk in it, rather than a stale one.
   */
  standIn: "needed" | "none";
}

/** A link to a directory that is re-pointed with the switch. */
export interface LinkSwitch {
  path: string;
  /** Beside the link: it as it shall be, and as it was. */
  next: { path: string; leadsTo: string };
  back: { path: string; leadsTo: string };
}

/** What decides a switch: the link's one rename, or that of the switch record. */
export type Deciding = ({ decidedBy: "link" } & LinkSwitch) | { decidedBy: "switch-record"; path: string };

export interface SwitchRequest {
  domainId: string;
  disks: readonly DiskSwitch[];
  /** Absent: where the guest runs decides. */
  deciding?: Deciding;
  /** All jobs must be pending within this time, where they have such a state. */
  pendingSeconds: number;
}

export interface SwitchWords {
  /** What will be done on the host, in its order. */
  planned(words: string): void;
  /** While the hypervisor does not answer, again and again. */
  silent(silence: { silentSeconds: number; isSuspended: boolean }): void;
}

export interface SwitchOutcome {
  /**
   * - `switched`: all disks have their targets.
   * - `stayed`: nothing was switched; names and manifests are as before.
   * - `names-left`: the same, but not all of these could be set back.
   * - `strayed`: nothing was switched, since a chain or job is another one than the request says.
   * - `apart`: decided, and the disks in `stayed` did not go over.
   * - `ended`: QEMU ended in the middle. The disks in `stayed` boot from their sources, the others from their targets.
   * - `lost`: the same, but that QEMU lives, suspended, and the hypervisor does not know it any more.
   * - `unclear`: what has moved has moved.
   */
  end: "switched" | "stayed" | "names-left" | "strayed" | "apart" | "ended" | "lost" | "unclear";
  why: string | null;
  /** The qdevs of the disks that did not go over, or of those because of which none did; where nobody can tell, none. */
  stayed: readonly string[];
  /** How long the guest's I/O can have waited. Absent where nobody saw that. */
  pauseSeconds?: number;
}

/** What is left of a switch that was cut while its jobs waited in `pending`. */
export interface CutRequest {
  disks: readonly CutDisk[];
  deciding: Deciding;
  /** Its names, and where their files are now. */
  at: ReadonlyMap<string, string>;
}

/** Where jobs wait in `pending`, a switch can be cut while they do. */
export interface PendingSwitches {
  /** Finishes or reverts it, by what decides it. The manifests stay as they are. */
  recover(cut: CutRequest, words: Pick<SwitchWords, "planned">): Promise<SwitchOutcome>;
}

/** Where a switch suspends the guest, one that was cut may leave it suspended. */
export interface SuspendingSwitches {
  /**
   * Resumes such a guest until the hypervisor says that it runs, or has stopped by itself since, and ends the record of its suspension.
   * @param before what has to be done before it may write again; `deadline` as the host's clock counts: after it nothing is begun
   * @param waitSeconds for the end of a switch that is under way. Default: for as long as one takes
   * @returns undefined where nothing is to be done: that switch has ended meanwhile
   * @throws SwitchUnderWay if it is not over @throws Unable if the guest is suspended still
   */
  resume(
    domainId: string,
    before: (view: GuestView, deadline: number) => Promise<void>,
    waitSeconds?: number,
  ): Promise<{ wasSuspended: boolean; state: string } | undefined>;
}

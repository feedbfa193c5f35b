/** The switch of a guest that libvirt manages, as data for the host's worker. Pure. */

import type { LayerFile } from "../../core/disk/chain-options.js";
import { backOf, markOf, nextOf } from "../../core/disk/names.js";
import type { FileSeen } from "../../host/file-seen.js";
import type { LibvirtSwitchDisk, LibvirtSwitchPlan, LibvirtSwitchResult, PlannedImage } from "../../host/worker/libvirt-switching.js";
import { type Identities, known, moveOf, renameWords } from "../planned-move.js";
import type { DiskSwitch, SwitchOutcome, SwitchRequest } from "../switching.js";

/** Without what is libvirt's own. */
export type PlannedLibvirtSwitch = Omit<LibvirtSwitchPlan, "uri" | "switchLock">;

/** What lies under the names of a switch right before it. */
export interface Found {
  /** Links followed. */
  files: ReadonlyMap<string, FileSeen>;
  identities: Identities;
}

/** Every image whose file is compared in the switch. */
export function imagesIn(disks: readonly DiskSwitch[]): string[] {
  return disks.flatMap(({ target, chain }) => [target.path, ...chain.map(({ path }) => path)]);
}

/** Every name whose file gets another one. */
export function namesIn(disks: readonly DiskSwitch[]): string[] {
  return disks.flatMap(({ manifests, stale }) => [
    ...manifests.flatMap(({ path, mark }) => [nextOf(path), backOf(path), ...(mark === undefined ? [] : [markOf(path)])]),
    ...(stale ? [stale.active] : []),
  ]);
}

export function switchPlan({ domainId, disks }: SwitchRequest, found: Found): PlannedLibvirtSwitch {
  return { domain: domainId, disks: disks.map((disk) => diskOf(disk, found)) };
}

function diskOf({ qdev, chain, target, job, manifests, stale }: DiskSwitch, { files, identities }: Found): LibvirtSwitchDisk {
  const imageAt = ({ path, format }: LayerFile): PlannedImage => {
    const { dev, ino } = known(files, path);
    return { path, format, device: dev, inode: ino };
  };
  return {
    target: qdev,
    chain: chain.map(imageAt),
    destination: imageAt(target),
    job: job.kind,
    marks: manifests.flatMap(({ path, mark }) => (mark === undefined ? [] : [moveOf(identities, [markOf(path), path], backOf(path))])),
    manifests: manifests.map(({ path }) => moveOf(identities, [nextOf(path), path], backOf(path))),
    stale: stale ? [moveOf(identities, [stale.active, stale.quarantine])] : [],
  };
}

/** For the log, when it is asked for: what will be done on the host, in its order. */
export function planWords({ disks }: PlannedLibvirtSwitch): string {
  const targets = disks.map(({ target }) => target).join(", ");
  return [
    "look at the guest's state, and suspend it if it runs",
    ...disks.map(({ chain: [source] }) => `lock ${source?.path ?? "nothing"} against other QEMUs`),
    ...disks.map(({ target, chain }) => `check that ${target} is on ${chain.map(({ path }) => path).join(" <- ")}`),
    ...disks.flatMap(({ marks }) => marks.map(renameWords)),
    ...disks.map(({ target, destination }) => `pivot ${target} to ${destination.path}`),
    `look where ${targets} are, and make the persistent definition say so`,
    ...disks.flatMap(({ manifests, stale }) => [...manifests, ...stale].map(renameWords)),
    "resume the guest until it runs",
  ].join("; ");
}

const ends = {
  switched: "switched",
  stayed: "unclear",
  refused: "stayed",
  strayed: "strayed",
  ended: "ended",
  lost: "lost",
  failed: "unclear",
} as const satisfies Record<LibvirtSwitchResult["end"], SwitchOutcome["end"]>;

/** A switch of which something could not be written down is not over. */
export function outcomeOf({ end, why, disks, pauseSeconds }: LibvirtSwitchResult): SwitchOutcome {
  const isUnclear = end === "switched" && why !== null;
  return { end: isUnclear ? "unclear" : ends[end], why, stayed: disks, ...(pauseSeconds !== undefined && { pauseSeconds }) };
}

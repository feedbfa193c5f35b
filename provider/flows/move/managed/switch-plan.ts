/** The switch of a guest that libvirt manages, as data for the host's worker. Pure. */

import type { LayerFile } from "../../../core/disk/chain-options.js";
import { backOf, type DiskKey, markOf, nextOf } from "../../../core/disk/names.js";
import type { FileSeen } from "../../../host/file-seen.js";
import type { LibvirtSwitchDisk, PlannedImage } from "../../../host/worker/libvirt-switching.js";
import type { PlannedLibvirtSwitch } from "../../../hypervisor/hypervisor.js";
import type { Manifest } from "../../../journal/manifest.js";
import { manifestPaths } from "../../../journal/records.js";
import { type Identities, known, moveOf, renameWords } from "../../shared/planned-move.js";
import type { RecordedDisk } from "../../shared/site.js";

/** One disk's part of a switch. */
export interface ManagedEnding {
  disk: RecordedDisk;
  /** Where the job ends. */
  image: LayerFile;
  /** A copy's pivot, or the end of an active commit. */
  job: LibvirtSwitchDisk["job"];
  /** What its manifests say then. */
  next: Manifest;
  /** What they say while the pivot is made; absent: what they say now. */
  mark?: Manifest;
  /** The name that the former active image gets; empty: it keeps its own. */
  quarantine: string;
}

/** What lies under the names of a switch right before it. */
export interface Found {
  /** Links followed. */
  files: ReadonlyMap<string, FileSeen>;
  identities: Identities;
}

/** Every image whose file is compared in the switch. */
export function imagesIn(endings: readonly ManagedEnding[]): string[] {
  return endings.flatMap(({ disk, image }) => [image.path, ...disk.image.chain.map(({ path }) => path)]);
}

/** Every name whose file gets another one. */
export function namesIn(endings: readonly ManagedEnding[]): string[] {
  return endings.flatMap((ending) => [
    ...recordsOf(ending).flatMap((path) => [nextOf(path), backOf(path), ...(ending.mark ? [markOf(path)] : [])]),
    ...(ending.quarantine === "" ? [] : [ending.disk.manifest.source.active]),
  ]);
}

export function recordsOf({ disk }: { disk: { manifest: Manifest; key: DiskKey } }): string[] {
  return Object.values(manifestPaths(disk.manifest, disk.key));
}

export function managedSwitchPlan(domain: string, endings: readonly ManagedEnding[], found: Found): PlannedLibvirtSwitch {
  return { domain, disks: endings.map((ending) => planOf(ending, found)) };
}

function planOf(ending: ManagedEnding, { files, identities }: Found): LibvirtSwitchDisk {
  const { disk, image, job, quarantine } = ending;
  const { active } = disk.manifest.source;
  const imageAt = ({ path, format }: LayerFile): PlannedImage => {
    const { dev, ino } = known(files, path);
    return { path, format, device: dev, inode: ino };
  };
  return {
    target: disk.qdev,
    chain: disk.image.chain.map(imageAt),
    destination: imageAt(image),
    job,
    marks: ending.mark ? recordsOf(ending).map((path) => moveOf(identities, [markOf(path), path], backOf(path))) : [],
    manifests: recordsOf(ending).map((path) => moveOf(identities, [nextOf(path), path], backOf(path))),
    stale: quarantine === "" ? [] : [moveOf(identities, [active, quarantine])],
  };
}

/** For the log, when it is asked for: what will be done on the host, in its order. */
export function managedPlanWords({ disks }: PlannedLibvirtSwitch): string {
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

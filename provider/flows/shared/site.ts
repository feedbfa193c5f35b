/** Where a move takes place: a host, a guest on it, and the run that does it. Given to every step; nothing here remembers. */

import type { DiskKey } from "../../core/disk/names.js";
import type { Run } from "../../core/lifecycle.js";
import type { Host } from "../../host/host.js";
import type { Guest, GuestView, ImageView } from "../../hypervisor/hypervisor.js";
import type { Manifest, WrittenManifest } from "../../journal/manifest.js";
import type { CutSwitch } from "../../journal/two-sided.js";
import type { MoveOptions } from "./options.js";
import type { SeenPhase } from "./phase.js";

export interface Site {
  host: Host;
  guest: Guest;
  run: Run;
  options: MoveOptions;
  /** Where the disks are wanted, as the user spelled it; undefined when they are only to be left in order. */
  destination?: string;
  /** What a state tells of the guest, for one that does not run: who it is, and where a move may have left its manifests. */
  left?: { domainId: string; directories: readonly string[] };
}

/** What a look asks of a site. */
export interface Viewpoint extends Pick<Site, "host" | "destination" | "options"> {
  guest: Pick<Guest, "name" | "traits" | "look" | "lookForPull" | "serials" | "process">;
}

/** One disk with all that was seen of it. */
export interface SeenDisk extends SeenPhase {
  key: DiskKey;
  qdev: string;
  image: ImageView;
  /** The active image: as QEMU names it made absolute, and the directory of that name, links followed. */
  active: { named: string; directory: string };
  /** Where a boot must find the disk: through the link, where that leads to the disk. */
  bootPath: string;
  manifest?: Manifest;
  /** Of a switch that has not ended. */
  cut?: CutSwitch<WrittenManifest>;
}

/** One whose move is written down. */
export interface RecordedDisk extends SeenDisk {
  manifest: Manifest;
}

/** One observation of all disks of a move. */
export interface Seen {
  view: GuestView;
  disks: SeenDisk[];
}

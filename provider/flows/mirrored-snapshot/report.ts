/** What the resource shows of its snapshot: read from the host, in the words of outputs. */

import type { Properties } from "../../core/lifecycle.js";
import { chainReport, type LayerReport } from "../shared/chain-report.js";
import type { SnapshotState } from "./observation.js";
import type { Seen, SeenDisk, SnapshotSite } from "./site.js";
import { snapshotXml } from "./snapshot-xml.js";
import { type SnapshotStatus, statusOf } from "./status.js";

/** One disk of the snapshot, as it was last seen. */
export interface SnapshotReport {
  /**
   * Where the disk stands.
   *
   * A state of 0.1.0 has it from the first refresh or update on.
   */
  status: SnapshotStatus;
  /** @deprecated since 0.2.0: use `status`. It is an internal word, and the next version does not show it. */
  state: SnapshotState;
  /** The path that a boot of the guest must use. */
  current: string;
  /** The live backing chain, the active image first: path, format, virtual and allocated bytes (rounded to MiB) of each layer. */
  chain: LayerReport[];
}

export function outputsOf(site: SnapshotSite, { view, disks }: Seen): Properties {
  return {
    xml: snapshotXml(site.disks),
    states: Object.fromEntries(disks.map((disk) => [disk.disk, report(disk)])),
    running: true,
    domainId: view.domainId,
  };
}

function report({ seen, manifest, active, image }: SeenDisk): SnapshotReport {
  const foreignTop = seen.phase === "contradiction" ? seen.foreignTop : undefined;
  const current = foreignTop ?? manifest?.current ?? active.named;
  return { status: statusOf(seen), state: seen.phase, current, chain: chainReport(image.chain) };
}

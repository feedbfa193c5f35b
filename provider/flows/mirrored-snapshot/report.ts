/** What the resource shows of its snapshot: read from the host, in the words of outputs. */

import type { Properties } from "../../core/lifecycle.js";
import type { SnapshotReport } from "../../resources/mirrored-snapshot/resource.js";
import { chainReport } from "../shared/chain-report.js";
import type { Seen, SeenDisk, SnapshotSite } from "./site.js";
import { snapshotXml } from "./snapshot-xml.js";

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
  return { state: seen.phase, current: foreignTop ?? manifest?.current ?? active.named, chain: chainReport(image.chain) };
}

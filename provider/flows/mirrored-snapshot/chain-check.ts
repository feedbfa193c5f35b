/** Before the snapshot, before its mirror and right before its pivot: the live chain is the one that was written down. */

import type { SnapshotManifest } from "../../journal/snapshot-manifest.js";
import { adviceFor, type ExpectedChain, layersAbove, liveChain, recordedLayer, whyStrayed } from "../shared/live-chain.js";
import { imageOf } from "../shared/places.js";
import { type RecordedDisk, refusal, type SnapshotSite } from "./site.js";

/** Which image takes the guest's writes. */
type On = "former" | "file";

/** @throws UserError if a chain is another one now: nothing is begun */
export async function checkChains(site: SnapshotSite, disks: readonly RecordedDisk[], on: On, verb: string): Promise<void> {
  const view = await site.guest.look();
  const process = await site.guest.process();
  for (const { disk, qdev, image, manifest } of disks) {
    const device = view.disks.find((each) => each.qdev === qdev);
    const live = await liveChain(site.host, device ? imageOf(site, disk, device) : image, process);
    const expected = expectedChain(manifest, on);
    const above = await layersAbove(site.host, live, expected);
    if (above === 0) continue;
    const did = verb === "pivot" ? "Nothing was switched; the mirror goes on." : "Nothing was started.";
    throw refusal(site, verb, disk)(whyStrayed({ live, expected, above }), adviceFor(above), {
      left: `${did} The guest runs on ${live.layers[0].path}, which is current, whatever its manifest says.`,
      tellsCurrent: true,
    });
  }
}

/** Pure. */
export function expectedChain({ former, chain, file }: SnapshotManifest, on: On): ExpectedChain {
  const frozen = (chain ?? [former]).map(recordedLayer);
  const top = { path: file.path, format: "qcow2", ...(file.is && { is: file.is }) };
  return { layers: on === "file" ? [top, ...frozen] : frozen, below: chain ? "nothing" : "unknown" };
}

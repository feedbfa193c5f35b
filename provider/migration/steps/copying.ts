/** Bringing a lower layer: copied on the host, shared with others that stand on it, compared if asked. */

import { messageOf } from "../../errors.js";
import { compareImages } from "../../image/compare.js";
import { copyLayer } from "../../image/copy.js";
import { bytesText, complaint } from "../complaint.js";
import type { Outcome } from "../outcome.js";
import { pace } from "../progress.js";
import type { MovedLayer } from "../record/manifest.js";
import type { SeenDisk, Site } from "../site.js";

export async function copyOne(site: Site, disk: SeenDisk, layer: MovedLayer, outcome: Outcome): Promise<void> {
  const { host, options, run } = site;
  const told = pace(`${disk.disk} copying`);
  const copied = await copyLayer(host, {
    source: layer.source,
    sourceIdentity: layer.identity,
    destination: layer.destination,
    user: disk.key,
    ...(layer.rename && { rewriteBacking: layer.rename }),
    maxBytesPerSecond: () => options.maxBytesPerSecond,
    progress: (done, total) => run.progress(told(done, total)),
    waiting: (text) => run.progress(`${disk.disk} ${text}`),
    stop: run.stop,
    stallSeconds: options.stallSeconds,
  });
  outcome.copied(disk.disk, copied === "copied" ? layer.identity.sizeBytes : 0);
  if (options.verify === "full") await compareCopy(site, disk, layer);
}

/** What the guest would read from the copy against what it reads from the source. */
async function compareCopy(site: Site, disk: SeenDisk, layer: MovedLayer): Promise<void> {
  site.run.progress(`${disk.disk} comparing ${layer.destination}, ${bytesText(layer.identity.sizeBytes)}`);
  const { source, destination, format } = layer;
  let verdict: Awaited<ReturnType<typeof compareImages>>;
  try {
    verdict = await compareImages(site.host, { path: source, format }, { path: destination, format }, "past-the-cache");
  } catch (cause) {
    const why = `the copy ${destination} could not be compared with ${source} (${messageOf(cause)})`;
    throw complaint(site, {
      verb: "move",
      disk: disk.disk,
      why,
      left: "The guest runs on the source as before.",
      advice: "Run `pulumi up` again.",
      cause,
    });
  }
  if (verdict === "same") return;
  const why = `the copy ${destination} differs from ${source} (${verdict.differs})`;
  const left = "The guest runs on the source as before.";
  throw complaint(site, {
    verb: "move",
    disk: disk.disk,
    why,
    left,
    advice: "Look for a fault of the destination's storage; `pulumi destroy` undoes the move.",
  });
}

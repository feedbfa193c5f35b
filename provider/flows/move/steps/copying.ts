/** Bringing a lower layer: copied on the host, shared with others that stand on it, compared if asked. */

import { bytesText } from "../../../core/bytes.js";
import { identityOf } from "../../../core/disk/chain.js";
import { messageOf } from "../../../core/errors.js";
import { seeFiles } from "../../../host/file-seen.js";
import type { MovedLayer } from "../../../journal/manifest.js";
import { writeRecords } from "../../../journal/records.js";
import { pace } from "../../../reconciler/progress.js";
import { type CopyOptions, copyLayer, LeftBehind, Unproved } from "../../../storage/directory/copy.js";
import { leaveLayer } from "../../../storage/directory/sidecar.js";
import { complaint } from "../../shared/complaint.js";
import type { Outcome } from "../../shared/outcome.js";
import type { RecordedDisk, SeenDisk, Site } from "../../shared/site.js";
import { adoptInstead, compareLayer, compareShared } from "./adopting.js";

export async function copyOne(site: Site, disk: RecordedDisk, layer: MovedLayer, outcome: Outcome): Promise<void> {
  try {
    await copyOrJoin(site, disk, layer, outcome);
  } catch (thrown) {
    // the former active layer is written to in the end, so it is never a file that lay there
    if (!(thrown instanceof LeftBehind) || layer.source === disk.manifest.source.active) throw thrown;
    await adoptInstead(site, disk, layer, runsOn);
  }
}

async function copyOrJoin(site: Site, disk: RecordedDisk, layer: MovedLayer, outcome: Outcome): Promise<void> {
  const { host } = site;
  const copying = await copyOptions(site, disk, layer);
  const copied = await copyLayer(host, copying).catch(async (thrown: unknown) => {
    if (!(thrown instanceof Unproved)) throw thrown;
    return copyLayer(host, { ...copying, compared: await compareShared(site, disk, layer) });
  });
  outcome.copied(disk.disk, copied === "copied" ? layer.identity.sizeBytes : 0);
  if (site.options.verify === "full") await verify(site, disk, layer);
}

/** The guest has every layer open: what is copied is that very file. */
async function copyOptions({ guest, options, run }: Site, disk: RecordedDisk, layer: MovedLayer): Promise<CopyOptions> {
  const told = pace(`${disk.disk} copying`, run.world);
  return {
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
    openFiles: (await guest.process())?.openFiles,
  };
}

/** Written down once it is done: a run that is cut before leaves a copy that no mirror starts on. */
async function verify(site: Site, disk: RecordedDisk, layer: MovedLayer): Promise<void> {
  const [before] = await seeFiles(site.host, [layer.destination], "keep-links");
  const verdict = await compareContent(site, disk, layer);
  if (verdict !== "same") throw await differing(site, disk, layer, verdict.differs);
  const { manifest, key } = disk;
  const compared = (each: MovedLayer) =>
    each.destination === layer.destination && before ? { ...each, compared: identityOf(before) } : each;
  await writeRecords(site.host, key, { ...manifest, layers: manifest.layers.map(compared) });
}

/** What the guest would read from the copy against what it reads from the source. */
async function compareContent(site: Site, written: RecordedDisk, layer: MovedLayer): ReturnType<typeof compareLayer> {
  const { disk } = written;
  site.run.progress(`${disk} comparing ${layer.destination}, ${bytesText(layer.identity.sizeBytes)}`);
  try {
    return await compareLayer(site, written, layer);
  } catch (cause) {
    const why = `the copy ${layer.destination} could not be compared with ${layer.source} (${messageOf(cause)})`;
    throw complaint(site, { verb: "move", disk, why, left: runsOn, advice: "Run `pulumi up` again.", cause });
  }
}

const runsOn = "The guest runs on the source as before.";

/** A bad copy does not stay to be taken for a good one, unless the move of another disk stands on it. */
async function differing(site: Site, { disk, key }: SeenDisk, { source, destination }: MovedLayer, how: string): Promise<Error> {
  const why = `the copy ${destination} differs from ${source} (${how})`;
  const fate = await leaveLayer(site.host, destination, key);
  const fault = "Look for a fault of the destination's storage";
  const { left, advice } = {
    removed: {
      left: `${runsOn.slice(0, -1)}, and the copy was removed.`,
      advice: `${fault}, then run \`pulumi up\` again: it makes a new copy.`,
    },
    kept: {
      left: `${runsOn} The copy stays: another disk's move has it.`,
      advice: `${fault}; \`pulumi destroy\` the moves that share the copy, then begin again.`,
    },
    "not-ours": {
      left: `${runsOn} The copy stays: it is not proved to be the one that was made there.`,
      advice: `${fault}, take ${destination} away, then run \`pulumi up\` again.`,
    },
  }[fate];
  return complaint(site, { verb: "move", disk, why, left, advice });
}

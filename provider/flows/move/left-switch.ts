/** What a move has left on the host, of a guest that cannot be asked. */

import { diskKey } from "../../core/disk/names.js";
import { directoryOf } from "../../core/disk/paths.js";
import { type Manifest, parseManifest, type WrittenManifest } from "../../journal/manifest.js";
import { manifestTextsOf } from "../../journal/manifest-text.js";
import { readRecords } from "../../journal/records.js";
import { isSnapshotText } from "../../journal/snapshot-mark.js";
import { endLeft } from "../shared/end-switch.js";
import type { Site } from "../shared/site.js";
import { writeEnds } from "./end-switch.js";

/** {@link endLeft} */
export async function endLeftSwitches(site: Site): Promise<string[]> {
  return endLeft(site, {
    left: await cutManifests(site),
    directoriesOf: ({ source, destination }) => [directoryOf(source.active), destination.directory],
    read: (key, directories) => readRecords(site.host, key, directories),
    write: writeEnds,
  });
}

/** What is written down of the moves of a guest that cannot be asked. None where no state tells which guest it is. */
export async function leftMoves(site: Site): Promise<Manifest[]> {
  const read = async (written: WrittenManifest) => {
    const directories = [directoryOf(written.source.active), written.destination.directory];
    return readRecords(site.host, diskKey(written.domainId, written.qdev), directories);
  };
  const records = await Promise.all((await leftManifests(site)).map(read));
  return records.flatMap((found) => found?.manifest ?? []);
}

async function cutManifests(site: Site): Promise<WrittenManifest[]> {
  return (await leftManifests(site)).filter(({ current }) => typeof current === "object");
}

/** One for each disk, in a switch that was cut if one of its two is. */
async function leftManifests({ host, left }: Site): Promise<WrittenManifest[]> {
  const found = new Map<string, WrittenManifest>();
  for (const { path, text } of left ? await manifestTextsOf(host, left.domainId, left.directories) : []) {
    if (isSnapshotText(text)) continue;
    const written = parseManifest(text, path);
    if (!found.has(written.qdev) || typeof written.current === "object") found.set(written.qdev, written);
  }
  return [...found.values()];
}

/** A switch that was cut, of a guest that does not run any more. */

import { directoryOf } from "../../core/disk/paths.js";
import { readSmallFile } from "../../host/files.js";
import { parseManifest, type WrittenManifest } from "../../journal/manifest.js";
import { manifestsIn } from "../../journal/manifest-text.js";
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

/** One for each disk. */
async function cutManifests({ host, left }: Site): Promise<WrittenManifest[]> {
  const found = new Map<string, WrittenManifest>();
  for (const path of left ? await manifestsIn(host, left.directories) : []) {
    const text = await readSmallFile(host, path);
    const written = text === undefined || isSnapshotText(text) ? undefined : parseManifest(text, path);
    if (written && written.domainId === left?.domainId && typeof written.current === "object") found.set(written.qdev, written);
  }
  return [...found.values()];
}

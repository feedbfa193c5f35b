/** A pivot that was cut, of a guest that does not run any more. */

import { directoryOf } from "../../core/disk/paths.js";
import { manifestTextsOf } from "../../journal/manifest-text.js";
import { parseSnapshotManifest, type WrittenSnapshotManifest } from "../../journal/snapshot-manifest.js";
import { isSnapshotText } from "../../journal/snapshot-mark.js";
import { readSnapshotRecords } from "../../journal/snapshot-records.js";
import { endLeft } from "../shared/end-switch.js";
import { writeEnds } from "./end-switch.js";
import type { SnapshotSite } from "./site.js";

/** {@link endLeft} */
export async function endLeftPivots(site: SnapshotSite): Promise<string[]> {
  return endLeft(site, {
    left: await cutManifests(site),
    directoriesOf: ({ file, mirror }) => [directoryOf(file.path), directoryOf(mirror.path)],
    read: (key, directories) => readSnapshotRecords(site.host, key, directories),
    write: writeEnds,
  });
}

/** Of this snapshot, one for each disk. */
async function cutManifests({ host, left, disks }: SnapshotSite): Promise<WrittenSnapshotManifest[]> {
  const found = new Map<string, WrittenSnapshotManifest>();
  for (const { path, text } of left ? await manifestTextsOf(host, left.domainId, left.directories) : []) {
    if (!isSnapshotText(text)) continue;
    const written = parseSnapshotManifest(text, path);
    if (disks.some(({ file }) => file === written.file.path) && typeof written.current === "object") found.set(written.qdev, written);
  }
  return [...found.values()];
}

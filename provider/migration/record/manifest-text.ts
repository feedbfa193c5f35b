/** The texts of manifests on the host, of moves and of mirrored snapshots: where there are none, one listing says so for all disks of a directory. */

import { type DiskKey, fileNames } from "../../disk/names.js";
import { within } from "../../disk/paths.js";
import { readSmallFile } from "../../host/files.js";
import type { Host } from "../../host/host.js";

/** Names only; `/` where the directory cannot be listed, or is not there: then only reading tells. */
const list = `[ -d "$1" ] && [ -r "$1" ] && [ -x "$1" ] || { printf /; exit; }
for found in "$1"/lm-????????.manifest.json; do [ -e "$found" ] && printf '%s\\n' "\${found##*/}"; done; :`;

/** The text of a disk's manifest in a directory, undefined where there is none. @throws UserError if it is there and cannot be read */
export async function readManifestText(host: Host, key: DiskKey, directory: string): Promise<string | undefined> {
  const name = fileNames.manifest(key);
  const { stdout } = await host.run(list, [directory]);
  if (stdout !== "/" && !stdout.split("\n").includes(name)) return undefined;
  return readSmallFile(host, within(directory, name));
}

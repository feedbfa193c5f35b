/** The texts of manifests on the host, of moves and of mirrored snapshots: where there are none, one listing says so for all disks of a directory. */

import { type DiskKey, fileNames } from "../../disk/names.js";
import { within } from "../../disk/paths.js";
import { readSmallFile, readSmallFiles } from "../../host/files.js";
import type { Host } from "../../host/host.js";

/** Names only; `/` where the directory cannot be listed, or is not there: then only reading tells. */
const list = `[ -d "$1" ] && [ -r "$1" ] && [ -x "$1" ] || { printf /; exit; }
for found in "$1"/lm-????????.manifest.json; do [ -e "$found" ] && printf '%s\\n' "\${found##*/}"; done; :`;

/**
 * The text of a disk's manifest in a directory, undefined where there is none.
 * @param together disks whose manifests are wanted in the same look, from a host that remembers its answers: one command reads all
 * @throws UserError if it is there and cannot be read
 */
export async function readManifestText(
  host: Host,
  key: DiskKey,
  directory: string,
  together: readonly DiskKey[] = [],
): Promise<string | undefined> {
  const name = fileNames.manifest(key);
  const { stdout } = await host.run(list, [directory]);
  const listed = stdout.split("\n");
  if (stdout !== "/" && !listed.includes(name)) return undefined;
  const names = together.map(fileNames.manifest).filter((other) => listed.includes(other));
  if (names.length > 1 && names.includes(name)) {
    const texts = await readSmallFiles(
      host,
      names.map((other) => within(directory, other)),
    );
    const text = texts[names.indexOf(name)];
    if (text !== undefined) return text;
  }
  return readSmallFile(host, within(directory, name));
}

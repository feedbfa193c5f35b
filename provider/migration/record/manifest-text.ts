/** The texts of manifests on the host, of moves and of mirrored snapshots: where there are none, one listing says so for all disks of a directory. */

import { type DiskKey, fileNames } from "../../disk/names.js";
import { within } from "../../disk/paths.js";
import { readSmallFile } from "../../host/files.js";
import type { Host } from "../../host/host.js";

/** Names only; `/` where the directory cannot be listed, or is not there: then only reading tells. */
const list = `[ -d "$1" ] && [ -r "$1" ] && [ -x "$1" ] || { printf /; exit; }
for found in "$1"/lm-????????.manifest.json; do [ -e "$found" ] && printf '%s\\n' "\${found##*/}"; done; :`;

/** Base64 of each, by the order of the names; nothing where it cannot be read, so that reading it by itself tells why. */
const readAll = `cd -- "$1" || exit
shift
for name do head -c 1048577 -- "$name" 2>/dev/null | base64 -w 0; echo; done`;

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
    const all = await host.run(readAll, [directory, ...names]);
    const text = Buffer.from(all.stdout.split("\n")[names.indexOf(name)] ?? "", "base64").toString();
    if (text !== "" && Buffer.byteLength(text) <= 1024 * 1024) return text;
  }
  return readSmallFile(host, within(directory, name));
}

/** The texts of manifests on the host, of moves and of mirrored snapshots: where there are none, one listing says so for all disks of a directory. */

import { type DiskKey, fileNames } from "../core/disk/names.js";
import { within } from "../core/disk/paths.js";
import { UserError } from "../core/errors.js";
import { readSmallFile, readSmallFiles, smallFileBytes, statFiles } from "../host/files.js";
import type { Host } from "../host/host.js";
import { stateDirectoriesOf } from "./state-directory.js";

/** With more manifests in a directory than this, only those that are wanted are read. */
const fewManifests = 4;

/** For `find`, which fails where a directory cannot be read to its end: a glob takes that for an empty one. No other character is in a key. */
const manifestNames = `-maxdepth 1 -name 'lm-${"[0-9a-f]".repeat(8)}.manifest.json'`;

/**
 * A line for each: its name, and where they are few its text in base64. `/` where the directory cannot be listed, or is not there: then
 * only reading tells.
 *
 * @host find, head, base64
 * @for reading
 * @does lists the manifests in a directory, and reads them where they are few
 * @changes nothing
 * @as the account
 * @why where a move stands is asked of the host
 */
const list = `names=$(find "$1/" ${manifestNames} -printf '%f\\n' 2>/dev/null) || { printf /; exit; }
directory=$1 few=$2 bytes=$3
set -- $names
for name do
  printf '%s ' "$name"
  [ $# -gt "$few" ] || head -c "$bytes" -- "$directory/$name" 2>/dev/null | base64 -w 0
  echo
done`;

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
  const { exitStatus, stdout } = await host.run(list, [directory, String(fewManifests), String(smallFileBytes + 1)]);
  const listed = new Map(stdout.split("\n").map((line) => line.split(" ", 2) as [string, string | undefined]));
  if (exitStatus === 0 && stdout !== "/" && !listed.has(name)) return undefined;
  const content = Buffer.from(listed.get(name) ?? "", "base64");
  if (content.length > 0 && content.length <= smallFileBytes) return content.toString();
  const names = together.map(fileNames.manifest).filter((other) => listed.has(other));
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

/**
 * Paths, each ended by NUL.
 *
 * @host find
 * @for reading
 * @does lists the manifests in directories
 * @changes nothing
 * @as the account
 * @why a move or a mirrored snapshot must not be forgotten while its guest does not answer
 */
const find = `for place do find "$place/" ${manifestNames} -print0 || exit; done`;

/**
 * All manifests that lie in the directories, or in the host's state directory, of whatever guest. A directory that is not there holds none.
 * @throws UserError if one is there and cannot be listed: that is not "none"
 */
export async function manifestsIn(host: Host, directories: readonly string[]): Promise<string[]> {
  const wanted = [...new Set(directories)];
  const there = await statFiles(host, wanted, "follow");
  const { exitStatus, stdout, stderr } = await host.run(find, [
    ...wanted.filter((_, index) => there[index] !== undefined),
    ...(await stateDirectoriesOf(host)),
  ]);
  if (exitStatus === 0) return stdout.split("\0").filter((name) => name !== "");
  const why = stderr.trim().split("\n").pop() || `exit status ${exitStatus}`;
  throw new UserError(
    `Unable to list the manifests in ${wanted.join(", ")} on ${host.name}: ${why}. So a move may have been left there. Nothing was touched. ` +
      "Let the account read it, or repair its storage, then run again.",
  );
}

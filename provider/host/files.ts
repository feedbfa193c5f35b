/** Files on a host, looked at. Each function is one round trip. Paths are absolute. Changing them: file-changes.ts. */

import type { FileIdentity } from "../core/disk/chain.js";
import { distrusted, refusal, saysMissing, unable } from "./complaints.js";
import type { Host } from "./host.js";
import { readTrustedFile } from "./worker/files.js";
import { isMissing } from "./worker/worker-error.js";

export { createExclusively, makeAnew, removeFile, removeFiles, renameWithoutReplacing, writeFileAtomically } from "./file-changes.js";

export interface FileStat extends FileIdentity {
  kind: "file" | "directory" | "symlink" | "socket" | "block" | "other";
  /** Permission bits in octal, as chmod takes them: `644`. */
  mode: string;
  uid: number;
  gid: number;
}

/**
 * What lies at each of the paths, in their order; undefined where nothing does.
 * `follow`: what a link leads to, undefined where it leads nowhere. `keep-links`: the link itself.
 * @throws UserError if a path cannot be looked at, for a lack of permission for example: that is not "nothing there"
 */
export async function statFiles(host: Host, paths: readonly string[], links: "follow" | "keep-links"): Promise<(FileStat | undefined)[]> {
  if (paths.length === 0) return [];
  const { stdout } = await host.run(statScript, [links, ...paths]);
  const [order = "", ...lines] = stdout.split("\n");
  const others = lines.splice(order.replaceAll("!", "").length);
  return paths.map((path, index) => {
    const line = (order[index] === "=" ? lines : others).shift() ?? "";
    const found = line.startsWith("=") ? parseStat(line.slice(1)) : undefined;
    if (found) return found;
    if (line.startsWith("!") && saysMissing(line)) return undefined;
    throw unable(host, "look at", path, line.slice(1));
  });
}

/**
 * A line of `=` for what is there and `!` for the others, in the order of the paths; then those that are there, at which one process
 * looks, then the others. `%.9Y`: nanoseconds, GNU coreutils from 8.6 on. Names in stat's complaints are quoted, so one answer is one line.
 *
 * @host stat
 * @for reading
 * @does looks at files: device, inode, size, time, mode, owner, kind
 * @changes nothing
 * @as the account
 * @why a file is known by its identity, not by its name
 */
const statScript = `case $1 in follow) follow=-L ;; *) follow= ;; esac
shift
format='%d %i %s %.9Y %a %u %g %F'
one_by_one() {
  for path do
    if answer=$(stat $follow -c "$format" -- "$path" 2>&1); then printf '=%s\\n' "$answer"; else printf '!%s\\n' "$answer"; fi
  done
}
count=$# order= others=
for each do
  if [ -e "$each" ]; then order="$order="; set -- "$@" "$each"; continue; fi
  order="$order!" others="$others$(one_by_one "$each")
"
done
shift $count
printf '%s\\n' "$order"
if [ $# -gt 0 ]; then
  if answers=$(stat $follow -c "=$format" -- "$@" 2>/dev/null); then printf '%s\\n' "$answers"; else one_by_one "$@"; fi
fi
printf %s "$others"`;

const kinds: Readonly<Record<string, FileStat["kind"]>> = {
  "regular file": "file",
  "regular empty file": "file",
  directory: "directory",
  "symbolic link": "symlink",
  socket: "socket",
  "block special file": "block",
};

/** Undefined for a line that stat does not write. */
function parseStat(line: string): FileStat | undefined {
  const [dev = "", ino = "", size = "", modified = "", mode = "", uid = "", gid = "", ...kind] = line.split(" ");
  if (![dev, ino, size, uid, gid].every((number) => /^\d+$/.test(number)) || kind.length === 0) return undefined;
  return {
    dev,
    ino,
    sizeBytes: Number(size),
    modified,
    kind: kinds[kind.join(" ")] ?? "other",
    mode,
    uid: Number(uid),
    gid: Number(gid),
  };
}

/**
 * A small text file of ours, or undefined where there is none. Another account's, a link and all that is no file are refused.
 * @throws UserError if it cannot be trusted, is larger than `maxBytes` (1 MiB) or cannot be read
 */
export async function readSmallFile(host: Host, path: string, maxBytes = 1024 * 1024): Promise<string | undefined> {
  const worker = await host.worker();
  try {
    return (await readTrustedFile(worker, { path }, { bytesAtMost: maxBytes })).content.toString();
  } catch (thrown) {
    if (isMissing(thrown)) return undefined;
    throw distrusted(host, path, thrown) ?? refusal(host, `read ${path}`, thrown);
  }
}

/**
 * What can still be written in a directory, by an ordinary user.
 * @throws UserError if there is no such directory
 *
 * @host stat
 * @for reading
 * @does asks how much room a file system has
 * @changes nothing
 * @as the account
 * @why a copy or an overlay that cannot fit is refused before it begins
 */
export async function freeBytes(host: Host, directory: string): Promise<number> {
  const answer = await host.run(`stat -f -c '%a %S' -- "$1"`, [directory]);
  const [blocks, blockBytes] = answer.stdout.trim().split(" ").map(Number);
  if (answer.exitStatus !== 0 || blocks === undefined || blockBytes === undefined) {
    throw unable(host, "measure the free space of", directory, answer.stderr);
  }
  return blocks * blockBytes;
}

/**
 * The path without links and dots.
 * @throws UserError if a part of it does not exist
 *
 * @host readlink
 * @for reading
 * @does resolves links in a path
 * @changes nothing
 * @as the account
 * @why one directory may be named in several ways
 */
export async function realPath(host: Host, path: string): Promise<string> {
  const answer = await host.run(`readlink -e -v -n -- "$1"`, [path]);
  if (answer.exitStatus !== 0) throw unable(host, "resolve", path, answer.stderr);
  return answer.stdout;
}

/** Files on a host, changed. Each function is one round trip, and what it did is on disk when it returns: file and directory are synced. */

import { randomBytes } from "node:crypto";
import { UserError } from "../core/errors.js";
import { unable } from "./complaints.js";
import type { Host } from "./host.js";

/** `sync FILE` is fsync(2) of it, GNU coreutils from 8.24 on. */
const syncDirectoryOf = (argument: string) => `sync -- "\${${argument}%/*}/"`;

/**
 * A new file of our own beside `$1`: `$2`, made exclusively (`set -C`: O_EXCL, so never through a link), filled from
 * standard input, with the owner and mode of `$4` where given, then mode `$3` where given, and synced.
 */
const makeTemporary = `set -e
umask 077
set -C
cat >"$2"
set +C
trap 'rm -f -- "$2"' EXIT
if [ -n "$4" ]; then
  chown --reference="$4" -- "$2" 2>/dev/null || chgrp --reference="$4" -- "$2" 2>/dev/null || :
  chmod --reference="$4" -- "$2"
fi
[ -z "$3" ] || chmod -- "$3" "$2"
sync -- "$2"`;

export interface WriteOptions {
  /**
   * Octal, as chmod takes it.
   * @default "644", where `like` is not given
   */
  mode?: string;
  /** A path whose owner (as far as permitted) and mode the file gets. */
  like?: string;
}

/**
 * Writes a whole file in one step: at every moment the path holds the old content or the new.
 * @throws UserError if it cannot be written
 *
 * @host cat, chown, chgrp, chmod, sync, mv, rm
 * @for records
 * @does writes a small file under a random name beside its own, syncs it, renames it and syncs the directory
 * @changes manifests, what they say after a switch, before it and in its middle (`.next`, `.back`, `.mark`); on libvirt, the empty target
 * @as the account
 * @why at every moment the file holds the old text or the new
 */
export async function writeFileAtomically(host: Host, path: string, content: string, options: WriteOptions = {}): Promise<void> {
  const script = `${makeTemporary}\nmv -f -T -- "$2" "$1"\n${syncDirectoryOf("1")}`;
  const answer = await host.run(script, temporaryArgs(path, options), { stdin: content });
  if (answer.exitStatus !== 0) throw unable(host, "write", path, answer);
}

/** Status 17 (EEXIST). A file system without hard links gets the file made in place, which is exclusive too but shows its content growing. */
const linkInPlace = `taken() { [ -e "$1" ] || [ -L "$1" ]; }
if taken "$1"; then exit 17; fi
if ! ln -T -- "$2" "$1" 2>/dev/null; then
  if taken "$1"; then exit 17; fi
  set -C
  cat "$2" >"$1"
  set +C
  chmod --reference="$2" -- "$1"
  sync -- "$1"
fi`;

/**
 * Makes a file that must not be there yet, with its content complete from its first moment.
 * @throws UserError if it cannot be written
 *
 * @host cat, chown, chgrp, chmod, sync, ln, rm
 * @for records
 * @does makes a file that must not be there yet, synced; never through a link
 * @changes makes a probe file in the destination, or the empty file that takes a raw image's name in the switch
 * @as the account
 * @why nothing that is there is replaced or followed
 */
export async function createExclusively(host: Host, path: string, content: string): Promise<"created" | "exists"> {
  const script = `${makeTemporary}\n${linkInPlace}\n${syncDirectoryOf("1")}`;
  const answer = await host.run(script, temporaryArgs(path, {}), { stdin: content });
  if (answer.exitStatus === 17) return "exists";
  if (answer.exitStatus !== 0) throw unable(host, "create", path, answer);
  return "created";
}

function temporaryArgs(path: string, { mode, like }: WriteOptions): string[] {
  return [path, `${path}.${randomBytes(4).toString("hex")}.new`, mode ?? (like === undefined ? "644" : ""), like ?? ""];
}

/** Removes a file or a link, never a directory; one that is not there is no error. @throws UserError if it stays */
export async function removeFile(host: Host, path: string): Promise<void> {
  await removeFiles(host, [path]);
}

/**
 * Removes each as {@link removeFile} does, in this order.
 * @throws UserError at the first that stays
 *
 * @host rm, sync
 * @for clean-up
 * @does removes files and links, never directories, and syncs their directories
 * @changes files that a move made and that nothing uses any more: manifests, small files, probes, targets, overlays; with `afterwards:
 *   "delete"` the former image, after the guest is seen on the other side
 * @as the account
 * @why nothing of a move stays when it has ended or was undone
 */
export async function removeFiles(host: Host, paths: readonly string[]): Promise<void> {
  const script = `while [ $# -gt 0 ]; do
  if [ -e "$1" ] || [ -L "$1" ]; then rm -f -- "$1" && ${syncDirectoryOf("1")} || { printf %s $#; exit 1; }; fi
  shift
done`;
  const answer = await host.run(script, paths);
  if (answer.exitStatus === 0) return;
  const left = Number(answer.stdout); // this many were left to do
  throw unable(host, "remove", (left > 0 ? paths.at(-left) : undefined) ?? paths.join(", "), answer);
}

/**
 * Renames a file within its file system; what has the new name already keeps it.
 * `mv` copies where it cannot rename, so the directories' devices are compared: a file's own is another than its directory's on overlayfs.
 * `mv -n` asks for RENAME_NOREPLACE (coreutils 8.30 and later), but answers "done" in either case (before 9.2): so the old name is looked for.
 * @throws UserError if the new name is taken, or the file cannot be renamed
 *
 * @host stat, mv, sync
 * @for images
 * @does renames a file within its file system, never over another, and syncs both directories
 * @changes a new image gets its name; the former image gets its quarantine name, or its own name back
 * @as the account
 * @why a boot by the old name must not find a stale image
 */
export async function renameWithoutReplacing(host: Host, from: string, to: string): Promise<void> {
  const script = `taken() { [ -e "$1" ] || [ -L "$1" ]; }
if taken "$2"; then exit 17; fi
[ "$(stat -c %d -- "\${1%/*}/")" = "$(stat -c %d -- "\${2%/*}/")" ] || exit 18
mv -n -T -- "$1" "$2" || exit
if taken "$1"; then exit 17; fi
${syncDirectoryOf("2")} && ${syncDirectoryOf("1")}`;
  const answer = await host.run(script, [from, to]);
  if (answer.exitStatus === 17) {
    throw new UserError(
      `Unable to rename ${from} to ${to} on ${host.name}: the new name is taken. Move what has it away, then run \`pulumi up\` again.`,
    );
  }
  if (answer.exitStatus === 18 && answer.stderr === "") {
    throw unable(host, `rename ${from} to`, to, "they are on two file systems");
  }
  if (answer.exitStatus !== 0) throw unable(host, `rename ${from} to`, to, answer);
}

/**
 * Gives `to` the owner, mode, access list, extended attributes and SELinux label of `from`, as far as the account may.
 * @returns what could not be taken over, in the host's words; whether that matters, only the guest's QEMU can say
 * @throws UserError if `from` cannot be looked at
 *
 * @host stat, chown, chgrp, cp, chcon
 * @for images
 * @does gives a file the owner, mode, access list, extended attributes and SELinux label of another, as far as the account may
 * @changes the probe file, and the empty file that takes a raw image's name: their attributes only
 * @as the account
 * @why the guest's QEMU must be able to open it as it opens the image
 */
export async function takeOver(host: Host, from: string, to: string): Promise<readonly string[]> {
  // The owner first: chown(2) takes the set-id bits away. One at a time: cp gives up at the first that it may not.
  const script = `stat -L -- "$1" >/dev/null && stat -- "$2" >/dev/null || exit
chown --reference="$1" -- "$2" || chgrp --reference="$1" -- "$2"
cp --attributes-only --preserve=mode -- "$1" "$2"
cp --attributes-only --preserve=xattr -- "$1" "$2"
if [ -d /sys/fs/selinux ] && [ "$(stat -L -c %C -- "$1")" != "?" ]; then chcon --reference="$1" -- "$2"; fi
exit 0`;
  const answer = await host.run(script, [from, to]);
  if (answer.exitStatus !== 0) throw unable(host, `take over owner and mode of ${from} for`, to, answer);
  return answer.stderr.split("\n").filter((line) => line !== "");
}

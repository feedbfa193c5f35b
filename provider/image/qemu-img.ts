/** Image files by `qemu-img` on the host: what a header says, new images, and other backing names. */

import { z } from "zod";
import type { FileIdentity } from "../core/disk/chain.js";
import { BugError, UserError } from "../core/errors.js";
import { parseJson } from "../core/json.js";
import { changing } from "../host/file-changes.js";
import type { Host } from "../host/host.js";
import { fileIdentity } from "../host/worker/files.js";
import { makeByProgram, theNewFile, withPath } from "../host/worker/programs.js";
import { isFailure } from "../host/worker/worker-error.js";
import { expectSuccess, lastWords, missing } from "./last-words.js";

/** What an image's own header says, plus what it takes on the storage. */
export interface ImageHeader {
  path: string;
  format: string;
  virtualBytes: number;
  allocatedBytes: number;
  /** The backing name as it stands in the header, unresolved; absent where there is none. */
  backingName?: string;
  backingFormat?: string;
  /** Where QEMU looks for the backing file. */
  backingPath?: string;
  /** What a new image must be made with to be like this one: arguments of `qemu-img create -o`. */
  options: Readonly<Record<string, string>>;
  internalSnapshots: readonly string[];
  dirtyBitmaps: readonly string[];
}

/** The reply's fields that we read; unknown ones pass. @see QEMU QAPI reference, ImageInfo and ImageInfoSpecificQCow2 */
export const headerReply = z.object({
  format: z.string(),
  "virtual-size": z.int(),
  "actual-size": z.int().optional(),
  "cluster-size": z.int().optional(),
  "backing-filename": z.string().optional(),
  "backing-filename-format": z.string().optional(),
  "full-backing-filename": z.string().optional(),
  snapshots: z.array(z.object({ name: z.string(), id: z.string() })).default([]),
  "format-specific": z
    .object({
      data: z.object({
        compat: z.string().optional(),
        "lazy-refcounts": z.boolean().optional(),
        "refcount-bits": z.int().optional(),
        "extended-l2": z.boolean().optional(),
        "compression-type": z.string().optional(),
        bitmaps: z.array(z.object({ name: z.string() })).default([]),
      }),
    })
    .optional()
    // other formats have other fields here, and we read none of them
    .catch(undefined),
});
export type HeaderReply = z.output<typeof headerReply>;

/**
 * Reads the header of one image, also while a guest has it open; its backing file need not be there.
 * @param format never guessed: what a guest wrote into a raw image must not pass for a header
 * @throws UserError with qemu-img's last line, as where the image has another format
 *
 * @host qemu-img
 * @for reading
 * @does `info -U`: reads the header of an image, by a format that is given
 * @changes nothing
 * @as the account
 * @why format, size and backing name
 */
export async function imageInfo(host: Host, path: string, format: string): Promise<ImageHeader> {
  const finished = await host.run('qemu-img info -U --output=json -f "$2" "$1"', [path, format]);
  expectSuccess(host, finished, `Unable to read the image header of ${path}`);
  const parsed = headerReply.safeParse(parseJson(finished.stdout));
  if (!parsed.success) {
    throw new BugError(`Unable to read what qemu-img says of ${path} on ${host.name}: ${z.prettifyError(parsed.error)}.`);
  }
  return headerOf(path, parsed.data);
}

export function headerOf(path: string, said: HeaderReply): ImageHeader {
  const backingName = said["backing-filename"];
  const backingFormat = said["backing-filename-format"];
  const backingPath = said["full-backing-filename"];
  return {
    path,
    format: said.format,
    virtualBytes: said["virtual-size"],
    // absent where the storage does not tell it (bdrv_query_image_info() in block/qapi.c, 7.2): then it is counted as full
    allocatedBytes: said["actual-size"] ?? said["virtual-size"],
    ...(backingName === undefined ? {} : { backingName }),
    ...(backingFormat === undefined ? {} : { backingFormat }),
    ...(backingPath === undefined ? {} : { backingPath }),
    options: said.format === "qcow2" ? creationOptions(said) : {},
    internalSnapshots: said.snapshots.map(({ name, id }) => name || id),
    dirtyBitmaps: said["format-specific"]?.data.bitmaps.map(({ name }) => name) ?? [],
  };
}

function creationOptions(said: HeaderReply): Record<string, string> {
  const own = said["format-specific"]?.data;
  const given: [string, string | undefined][] = [
    ["compat", own?.compat],
    ["cluster_size", said["cluster-size"]?.toString()],
    ["refcount_bits", own?.["refcount-bits"]?.toString()],
    ["lazy_refcounts", onOff(own?.["lazy-refcounts"])],
    ["extended_l2", onOff(own?.["extended-l2"])],
    ["compression_type", own?.["compression-type"]],
  ];
  // compat=0.10 knows none of the later options, and refuses them even at their defaults
  const known = own?.compat === "0.10" ? given.slice(0, 2) : given;
  return Object.fromEntries(known.filter((pair): pair is [string, string] => pair[1] !== undefined));
}

function onOff(flag: boolean | undefined): string | undefined {
  return flag === undefined ? undefined : flag ? "on" : "off";
}

export interface NewImage {
  /** Must not exist yet. */
  path: string;
  format: string;
  /** Arguments of `qemu-img create -o`. */
  options: Readonly<Record<string, string>>;
  virtualBytes: number;
  /** Stands in the header as given (see {@link backingNameInHeader}); need not exist. */
  backing?: { name: string; format: string };
  /** The file whose owner, mode, ACL and extended attributes the new one gets. */
  like?: string;
}

/** Making a file durable waits for what others write to the same storage. */
const syncSeconds = 120;

/**
 * Makes a new image, owner, mode and attributes like another's, and has it safely on the storage.
 * Never follows or overwrites what is at `path`; leaves nothing there if it fails.
 * @returns what it is then
 * @throws UserError with the last line of what failed
 *
 * @host qemu-img
 * @for images
 * @does makes an empty image (`qemu-img create`) in a new file that the worker has made exclusively and open; gives it owner, mode and
 *   attributes of another
 * @changes a new image: the target of a mirror, or an overlay; removed again if it fails
 * @as the account
 * @why a mirror needs a target; never over a file that is there
 */
export async function createImage(host: Host, image: NewImage): Promise<FileIdentity> {
  const { path, format, options, virtualBytes, backing, like } = image;
  const optional = [
    ...(backing === undefined ? [] : ["-u", "-b", backingNameInHeader(backing.name), "-F", backing.format]),
    ...(Object.keys(options).length === 0 ? [] : ["-o", optionText(options)]),
  ];
  const words = ["qemu-img", "create", "-q", "-f", format, ...optional, theNewFile, String(virtualBytes)];
  const unable = `Unable to create the image ${path}`;
  const place = { place: { path }, ...(like === undefined ? {} : { like: { path: like, follow: true } as const }) };
  const done = await changing(host, `create the image ${path}`, (worker) =>
    makeByProgram(worker, words, { ...place, deadlineSeconds: syncSeconds }).catch((thrown: unknown) => {
      if (isFailure(thrown, "no-program")) throw missing(host, unable);
      throw thrown;
    }),
  );
  if (done.made) return fileIdentity(done.made);
  throw new UserError(`${unable} on ${host.name}: ${lastWords(withPath(done.stderr.toString(), path))}.`);
}

/** A comma ends an option in QEMU's option syntax; doubled it is a comma. */
function optionText(options: Readonly<Record<string, string>>): string {
  return Object.entries(options)
    .map(([name, value]) => `${name}=${value.replaceAll(",", ",,")}`)
    .join(",");
}

/** QEMU reads `a:b.qcow2` as protocol `a` (block.c:path_has_protocol), so such a name is written `./a:b.qcow2`; all others stay as they are. */
export function backingNameInHeader(name: string): string {
  return /^[^/:]*:/.test(name) ? `./${name}` : name;
}

/**
 * A QEMU that writes holds a shared lock on byte 101 (block/file-posix.c: RAW_LOCK_PERM_BASE + the bit of BLK_PERM_WRITE); neighbours are
 * merged. The lock table proves it without touching a lock, but only where the file system's own device is the file's too: it names
 * the superblock's, with the inode's number within that file's subvolume or layer. So on btrfs and overlayfs it never has our pair of
 * numbers, and its pair may be of several files (measured, Linux 6.1). There the kernel is asked about this very file: qemu-img opens it
 * as one that lets nobody else write, for which it takes shared locks for a moment and looks at byte 101 (raw_check_lock_bytes(), 7.2).
 * That is blkdebug's to ask for (since QEMU 4.2): qemu-img itself lets everybody write to a raw image (blk_new_open()).
 * %d and not %Hd: that is new in coreutils 9.0; before, it is printed as "?d".
 *
 * @host stat, awk, qemu-img
 * @for reading
 * @does looks in /proc/locks whether a QEMU has an image open for writing; where that does not tell, `qemu-img info` tries the lock
 * @changes nothing; shared locks for a moment
 * @as the account
 * @why the image that is moved must be the one that the guest writes to
 */
const seesWriterScript = `
device=$(stat -L -c %d -- "$1") && inode=$(stat -L -c %i -- "$1") || exit
major=$((device >> 8 & 0xfff | device >> 32 & ~0xfff)) minor=$((device & 0xff | device >> 12 & ~0xff))
awk -v file="$(printf '%02x:%02x:%s' $major $minor "$inode")" '
  $2 == "OFDLCK" && $6 == file && $7 <= 101 && ($8 == "EOF" || $8 >= 101) { found = 1; exit } END { exit !found }' /proc/locks && exec echo 'in use'
words=$(qemu-img info --image-opts "driver=blkdebug,unshare-child-perms.0=write,image.driver=file,image.filename=$2" 2>&1 >/dev/null)
status=$?
case $words in *'Failed to get shared "write" lock'*) exec echo 'in use' ;; esac
printf '%s\\n' "$words" >&2
exit $status`;

/** Whether some QEMU on the host has the file open for writing, whichever user runs it. @throws UserError if that cannot be seen, or there is no such file */
export async function isImageInUse(host: Host, path: string): Promise<boolean> {
  const finished = await host.run(seesWriterScript, [path, path.replaceAll(",", ",,")]);
  expectSuccess(host, finished, `Unable to see whether ${path} is in use`);
  return finished.stdout !== "";
}

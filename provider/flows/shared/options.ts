/** How a move goes: the arguments that StorageMigration offers and that DomainDisk takes the defaults of. */

import { z } from "zod";
import { absolutePath } from "../../core/disk/paths.js";

const speedError = "maxBytesPerSecond is a whole number of bytes, 0 (no limit) or more";
const losesError = 'loses is a list of "bitmaps", "internal-snapshots" and "snapshot-metadata"';
const stallError = "stallSeconds is a whole number of seconds, 10 or more";
const switchError = "switchSeconds is a whole number of seconds, 1 to 600";

export const moveOptions = z.strictObject({
  /**
   * `mirror`: the layers below the active one are copied, then the active image is mirrored and switched.
   * `snapshot`: an overlay takes the guest's writes, so that everything below it holds still, for all disks at one point in time;
   * all of that is copied, and only the small overlay is mirrored.
   *
   * With `snapshot`, between the freeze and the end of the move a plain guest must not be started from the old path; therefore
   * `restartDuringMove` is required for it. Either way the chain afterwards has the same names and the same length, unless `collapse` is `none`.
   * @default "mirror"
   * @throws UserError for `snapshot` on plain QMP without `restartDuringMove`
   */
  strategy: z.enum(["mirror", "snapshot"], { error: 'strategy is "mirror" or "snapshot"' }).default("mirror"),
  /**
   * With strategy `snapshot`: what becomes of the overlay after the switch. `commit`: it is written down into the copied image.
   * `pull`: it takes that image up (not a raw one: the result would be a qcow2 under its name). `none`: it stays, and the chain is one
   * layer longer (not with `link`).
   * @default "commit"
   * @throws UserError with strategy `mirror`, which has no overlay; for `none` with `link`: a boot by the old name would silently find the frozen
   * image; when moving, for `pull` of a raw image, which cannot take up an overlay
   */
  collapse: z.enum(["commit", "pull", "none"], { error: 'collapse is "commit", "pull" or "none"' }).optional(),
  /**
   * With strategy `snapshot` on plain QMP: `from-manifest` promises that a guest that is started again during the move is started from
   * `current` in the manifest beside its image (the error of a cut run and the outputs repeat it).
   *
   * Its old command line would silently boot an image that lacks what was written since the freeze. A guest that libvirt manages is always started from where its disk is: its definition is changed before each step that changes that.
   * @default none: strategy `snapshot` is refused on plain QMP
   * @throws UserError with strategy `mirror`, where the old command line stays right until the switch
   */
  restartDuringMove: z.enum(["from-manifest"], { error: 'restartDuringMove is "from-manifest"' }).optional(),
  /**
   * Path of a layer that stays where it is, with all below it. Layers outside the active image's directory stay anyway.
   * @default none: every layer in the active image's directory moves
   * @throws UserError if it is no layer of the chain, or the active image itself
   */
  keepBase: absolutePath("keepBase").optional(),
  /**
   * Upper limit of the copy and of the mirror, in bytes per second; `0` lifts it. Guest writes are never slowed by it;
   * under a limit few bytes are in flight, so that they hardly wait.
   * @default 0
   * @throws UserError if negative or not whole
   * @see QEMU QMP reference, blockdev-mirror `speed`
   */
  maxBytesPerSecond: z.int({ error: speedError }).min(0, speedError).default(0),
  /**
   * `background`: guest writes go to the source and are copied after. `write-blocking`: each waits for the destination too,
   * so that a busy guest cannot outrun the mirror.
   * @default "background"
   * @throws UserError for any other word
   * @see QEMU QMP reference, MirrorCopyMode
   */
  copyMode: z.enum(["background", "write-blocking"], { error: 'copyMode is "background" or "write-blocking"' }).default("background"),
  /**
   * `full`: before the mirror starts, the copied layers are compared with their sources, as a guest would read them, bypassing the page cache.
   * A copy that differs is removed, and the next `up` copies it again.
   * @default "none"
   * @throws UserError for any other word; when moving, if a copy differs from its source
   */
  verify: z.enum(["none", "full"], { error: 'verify is "none" or "full"' }).default("none"),
  /**
   * What becomes of the image that was active before the move. `quarantine`: it stays under another name beside its old one.
   * `keep`: it gets its name back (on plain QMP only with `link`). `delete`: it is deleted.
   *
   * All are renamed in the switch, so that no boot finds a stale disk.
   * @default "quarantine"
   * @throws UserError for `keep` without `link` on plain QMP: a boot by the old name would silently find the stale image
   */
  afterwards: z.enum(["quarantine", "keep", "delete"], { error: 'afterwards is "quarantine", "keep" or "delete"' }).default("quarantine"),
  /**
   * The symbolic link to a directory through which a plain guest's command line names its disks (`/vm/web` → `/path1`).
   * The switch points it at the destination, so that the same command line boots from there. Not with collapse `none`.
   *
   * Where the disk was moved away by hand, it may lead to the destination already: then a boot through it finds another image until the disk is back, which is said.
   * @default none
   * @throws UserError if it is no link to the directory in which the disks are or to the destination, or if another disk of the guest lies there that does not move
   */
  link: absolutePath("link").optional(),
  /**
   * What the move may leave behind, since a mirror does not carry it: `bitmaps`, `internal-snapshots`, on libvirt `snapshot-metadata`.
   *
   * Strategy `snapshot` with collapse `commit` carries internal snapshots
   * and persistent bitmaps; of bitmaps that live in QEMU's memory alone it has to be told too.
   * @default []: a disk that has them is refused
   * @throws UserError for any other word
   */
  loses: z.array(z.enum(["bitmaps", "internal-snapshots", "snapshot-metadata"], { error: losesError }), { error: losesError }).default([]),
  /**
   * Seconds without any progress after which a wait is given up. Nothing is lost: the next `up` goes on.
   * @default 600
   * @throws UserError if it is less than 10, or not whole
   */
  stallSeconds: z.int({ error: stallError }).min(10, stallError).default(600),
  /**
   * On plain QMP: how many seconds the switch waits for all jobs to be `pending`, where guest I/O waits. After that it is cancelled, and the
   * guest goes on at the source.
   *
   * What comes afterwards has no deadline: a slow storage is waited for.
   * @default 30
   * @throws UserError if it is less than 1 or more than 600, or not whole
   */
  switchSeconds: z.int({ error: switchError }).min(1, switchError).max(600, switchError).default(30),
});

export type MoveOptions = z.output<typeof moveOptions>;

/** What DomainDisk moves with. */
export const defaultMoveOptions: MoveOptions = moveOptions.parse({});

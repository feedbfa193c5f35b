/** How a move goes: the arguments that StorageMigration offers and that DomainDisk takes the defaults of. */

import { z } from "zod";
import { absolutePath } from "../disk/paths.js";

export const moveOptions = z.strictObject({
  /**
   * `mirror`: the layers below the active one are copied, then the active image is mirrored and switched (design 3.2).
   * The chain afterwards has the same names and the same length.
   * @default "mirror"
   */
  strategy: z.enum(["mirror"]).default("mirror"),
  /**
   * Path of a layer that stays where it is, with all below it. Layers outside the active image's directory stay anyway.
   * @default none: every layer in the active image's directory moves
   * @throws UserError if it is no layer of the chain, or the active image itself
   */
  keepBase: absolutePath("keepBase").optional(),
  /**
   * Upper limit of the copy and of the mirror, in bytes per second; `0` lifts it. Guest writes are never slowed.
   * @default 0
   * @see QEMU QMP reference, blockdev-mirror `speed`
   */
  maxBytesPerSecond: z.int().min(0, "maxBytesPerSecond is a number of bytes, 0 (no limit) or more").default(0),
  /**
   * `background`: guest writes go to the source and are copied after. `write-blocking`: each waits for the destination too,
   * so that a busy guest cannot outrun the mirror.
   * @default "background"
   * @see QEMU QMP reference, MirrorCopyMode
   */
  copyMode: z.enum(["background", "write-blocking"]).default("background"),
  /**
   * `full`: before the mirror starts, the copied layers are compared with their sources, as a guest would read them, past the page cache.
   * @default "none"
   */
  verify: z.enum(["none", "full"]).default("none"),
  /**
   * What becomes of the image that was active before the move: renamed beside its old name, given its name back, or deleted.
   * All are renamed in the switch, so that no boot finds a stale disk.
   * @default "quarantine"
   * @throws UserError for `keep` without `link` on plain QMP: a boot by the old name would silently find the stale image
   */
  afterwards: z.enum(["quarantine", "keep", "delete"]).default("quarantine"),
  /**
   * The symbolic link to a directory through which a plain guest's command line names its disks (`/vm/web` → `/path1`).
   * The switch points it at the destination, so that the same command line boots from there.
   * @default none
   * @throws UserError if it is no link to the directory in which the disks are, or if another disk of the guest lies there that does not move
   */
  link: absolutePath("link").optional(),
  /**
   * What the move may leave behind, since a mirror does not carry it.
   * @default []: a disk that has them is refused
   */
  loses: z.array(z.enum(["bitmaps", "internal-snapshots"])).default([]),
  /**
   * Seconds without any progress after which a wait is given up. Nothing is lost: the next `up` goes on.
   * @default 600
   */
  stallSeconds: z.int().min(10, "stallSeconds is a number of seconds, 10 or more").default(600),
});

export type MoveOptions = z.output<typeof moveOptions>;

/** What DomainDisk moves with. */
export const defaultMoveOptions: MoveOptions = moveOptions.parse({});

/**
 * What a mirrored snapshot writes down, once beside `file` and once beside `mirror`: which files it is made of, which of them are
 * ours, and `current`: where a boot must find the disk. It has the name of a move's manifest, so that each finds the other.
 *
 * Pure: the text and what it says. `records.ts` reads and writes it.
 */

import { z } from "zod";
import { diskKey, fileNames } from "../core/disk/names.js";
import { baseName, directoryOf } from "../core/disk/paths.js";
import { UserError } from "../core/errors.js";
import { fitTogether, inPending, type SwitchSide, undecided } from "./decided-by.js";
import { directories, generation } from "./generation.js";
import { fileIdentity, which } from "./which-file.js";

const absolute = z.string().startsWith("/");

/** A file of the snapshot. */
const part = z.strictObject({
  /** As the user spelled it. */
  path: absolute,
  /** The node as which our QEMU has it open. */
  node: z.string(),
  /** `here`: we made it, so that it may go. `before`: it was there, and stays. */
  made: z.enum(["here", "before"]),
  /** The backing name in its header. */
  backing: z.strictObject({ name: z.string(), format: z.string() }),
  /** Arguments of `qemu-img create -o` that make such a file. */
  creation: z.record(z.string(), z.string()),
  /** Which file it is, once it is there: only that one is meant by its name. */
  is: z.strictObject(which).optional(),
});

const manifestSchema = z.strictObject({
  kind: z.literal("mirrored-snapshot"),
  version: z.literal(1),
  domainId: z.string(),
  qdev: z.string(),
  /** The user's name of the disk, for messages. */
  disk: z.string(),
  startedAt: z.string(),
  /** The image that was active before; frozen by the snapshot. */
  former: z.strictObject({ path: absolute, format: z.string(), ...which }),
  /** The guest's whole chain when the snapshot was begun, top first: `former` is the first. Absent in manifests of 0.1.0. */
  chain: z.array(z.strictObject({ path: absolute, format: z.string(), ...which })).optional(),
  directories,
  generation,
  virtualBytes: z.int(),
  /** The overlay that takes the guest's writes, and where they go too. */
  file: part,
  mirror: part,
  /** The name that `file` gets in the pivot, when a boot by its own would find it stale. */
  quarantine: absolute,
  /** Nodes of the chain that a pivot leaves, an overlay before what it backs: closed after it. */
  formerNodes: z.array(z.string()),
  /**
   * The one path that holds every acknowledged write. `file` right before the snapshot is taken: as long as it is empty, it reads as
   * what it stands on, so that either way is right at every moment. In a pivot the switch record decides which of the two it is.
   */
  current: z.union([absolute, undecided]),
  /** What the mirror was, once `current` names it. Unchanged means that the guest was never let onto it. */
  switched: fileIdentity.optional(),
  /** As long as `current` is undecided. The switch writes its end: keep it last. */
  pending: inPending.optional(),
});

/** As it is written down: in a pivot without what decides it, `current` is not known. */
export type WrittenSnapshotManifest = z.output<typeof manifestSchema>;
export type SnapshotManifest = Omit<WrittenSnapshotManifest, "current" | "pending"> & { current: string };
export type Part = z.output<typeof part>;

/** What a manifest says once its pivot is decided. */
export function snapshotDecidedAs(written: WrittenSnapshotManifest, side: SwitchSide): SnapshotManifest {
  const { current, pending, ...rest } = written;
  if (typeof current === "string") return { ...rest, current };
  if (side === "after") return { ...rest, current: current.after, ...(pending && { switched: pending.after }) };
  const { switched: _, ...before } = rest;
  return { ...before, current: current.before };
}

/** @throws UserError when somebody edited it, or a newer version wrote it */
export function parseSnapshotManifest(text: string, path: string): WrittenSnapshotManifest {
  try {
    const manifest = manifestSchema.parse(JSON.parse(text));
    if (!fits(manifest, baseName(path))) throw new Error("its names do not fit together");
    return manifest;
  } catch (cause) {
    throw new UserError(
      `Unable to read the manifest ${path}: it is not as this version of pulumi-livedisk writes it. Nothing was touched. ` +
        "If a newer version made the snapshot, let that version end it; if somebody edited the file, put its text back.",
      { cause },
    );
  }
}

/** Names say which files may be renamed and removed: one that somebody changed could be that of a file that is not ours. */
function fits(manifest: WrittenSnapshotManifest, fileName: string): boolean {
  const { domainId, qdev, former, file, mirror, quarantine, current, pending } = manifest;
  const key = diskKey(domainId, qdev);
  const currents = typeof current === "string" ? [current] : [current.before, current.after];
  return (
    fileName.startsWith(fileNames.manifest(key)) &&
    quarantine.startsWith(`${file.path}.lm-${key}-`) &&
    directoryOf(quarantine) === directoryOf(file.path) &&
    // a guest that was started again gives the overlay's node a name of its own: a lost mirror starts again from that node
    mirror.node.startsWith(`lm-${key}-`) &&
    currents.every((path) => [former.path, file.path, mirror.path].includes(path)) &&
    fitTogether(current, pending, []) &&
    new Set([former.path, file.path, mirror.path]).size === 3
  );
}

export function snapshotManifestText(manifest: WrittenSnapshotManifest): string {
  return `${JSON.stringify(manifestSchema.parse(manifest), null, 2)}\n`;
}

/** Whether a boot must find the disk on `file` ("source") or on `mirror` ("destination"). */
export function currentSide({ current, mirror }: Pick<SnapshotManifest, "current" | "mirror">): "source" | "destination" {
  return current === mirror.path ? "destination" : "source";
}

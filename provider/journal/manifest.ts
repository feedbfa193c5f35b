/**
 * What a move writes down, once beside the source's images and once beside the destination's: where it goes, which files are
 * ours, what was frozen, and `current`: where a boot must find the disk.
 *
 * Pure: the text and what it says. `records.ts` reads and writes it.
 */

import { z } from "zod";
import { baseName } from "../core/disk/paths.js";
import { BugError, UserError } from "../core/errors.js";
import { misfit } from "./coherence.js";
import { inPending, type SwitchSide, undecided } from "./decided-by.js";
import { directories, generation } from "./generation.js";
import { fileIdentity as identity, which } from "./which-file.js";

const absolute = z.string().startsWith("/");

/** A layer below the active one that moves with it. */
const movedLayer = z.strictObject({
  source: absolute,
  destination: absolute,
  format: z.string(),
  /** What the source was when the move began; it is frozen, so it must still be so. */
  identity,
  /** `copy`: the copier brings it, and its sidecar says who stands on it. `adopt`: it lay there already with the same content; never ours. */
  coming: z.enum(["copy", "adopt"]),
  /** Of an adopted layer: what it was when it was compared. */
  adopted: identity.optional(),
  /** With `verify`: what the copy was when it was found to hold the same as its source. */
  compared: identity.optional(),
  /** The backing name that the copy's header gets; absent where the source's own stays right. */
  rename: z.strictObject({ name: z.string(), format: z.string() }).optional(),
});

const manifestSchema = z.strictObject({
  version: z.literal(1),
  domainId: z.string(),
  qdev: z.string(),
  /** The user's name of the disk, for messages. */
  disk: z.string(),
  strategy: z.enum(["mirror", "snapshot"]),
  startedAt: z.string(),
  source: z.strictObject({
    /** The active image before the move, by its real path. */
    active: absolute,
    /** Which file that is. Its size and times change: the guest writes to it. */
    ...which,
    /** The directory of the manifest, where the image's own had no room for it. */
    manifestIn: absolute.optional(),
  }),
  /**
   * The node that took the guest's writes when nodes of this move were opened in its QEMU, and which image that is: as long as they are
   * open there, it tells, whatever the names on the host lead to.
   */
  written: z.strictObject({ node: z.string(), image: z.enum(["former", "overlay"]) }).optional(),
  /** The guest's whole chain when the move began, top first. Absent in manifests of 0.1.0, which tell only of the layers that move. */
  chain: z.array(z.strictObject({ path: absolute, format: z.string(), ...which })).optional(),
  destination: z.strictObject({
    /** As the user spelled it. */
    directory: absolute,
    /** Which directory that is: where its storage is not mounted, another one has its name. */
    ino: z.string().optional(),
    /** The active image when the move has ended. */
    active: absolute,
    /** What is mirrored onto: with strategy mirror, and where the overlay stays, the active image itself; else the overlay's other half. */
    target: absolute,
    node: z.string(),
    /** The backing name in the target's header; absent for an image without backing. */
    backing: z.strictObject({ name: z.string(), format: z.string() }).optional(),
    /** Which file the target is, once it is made: only that file is ours under this name. */
    file: z.strictObject(which).optional(),
  }),
  directories,
  generation,
  /** The layers below the active one that move with it, top first. */
  layers: z.array(movedLayer),
  /** Strategy snapshot: the overlay that takes the guest's writes from the freeze on. */
  overlay: z
    .strictObject({
      collapse: z.enum(["commit", "pull", "none"]),
      path: absolute,
      node: z.string(),
      /** What it was when it was made, and empty: of this size it still is. */
      made: identity.optional(),
      /** Where the former active image lands, and by which node it is open there when the overlay is committed into it. */
      landing: absolute,
      landingNode: z.string(),
      /** The backing name that the landed copy's header gets; absent for an image without backing. */
      landingBacking: z.strictObject({ name: z.string(), format: z.string() }).optional(),
      /** Which image the overlay's content lives on in: only then may the overlay go. */
      committed: z.enum(["source", "destination"]).optional(),
    })
    .optional(),
  link: z.strictObject({ path: absolute, before: z.string() }).optional(),
  afterwards: z.enum(["quarantine", "keep", "delete"]),
  /** The name that the former active image gets in the switch. */
  quarantine: absolute,
  /** Nodes of the former chain, an overlay before what it backs: closed after the switch. */
  formerNodes: z.array(z.string()),
  /** The one path that holds every acknowledged write, and from which a boot must come back; in a switch what decides which one it is. */
  current: z.union([absolute, undecided]),
  /** What the target was, once `current` names it. Unchanged means that the guest was never let onto it. */
  switched: identity.optional(),
  /** As long as `current` is undecided. The switch writes its end: keep it last. */
  pending: inPending.optional(),
});

/** As it is written down: in a switch without what decides it, `current` is not known. */
export type WrittenManifest = z.output<typeof manifestSchema>;
export type Manifest = Omit<WrittenManifest, "current" | "pending"> & { current: string };
export type MovedLayer = z.output<typeof movedLayer>;

/** What a manifest says once its switch is decided. */
export function decidedAs(written: WrittenManifest, side: SwitchSide): Manifest {
  const { current, pending, overlay, ...rest } = written;
  if (typeof current === "string") return { ...rest, current, ...(overlay && { overlay }) };
  if (side === "after")
    return { ...rest, current: current.after, ...(overlay && { overlay }), ...(pending && { switched: pending.after }) };
  const { switched: _, ...before } = rest;
  if (!overlay) return { ...before, current: current.before };
  const { committed: __, ...uncommitted } = overlay;
  return { ...before, current: current.before, overlay: uncommitted };
}

/** @throws UserError when somebody edited it, or a newer version wrote it */
export function parseManifest(text: string, path: string): WrittenManifest {
  try {
    const manifest = manifestSchema.parse(JSON.parse(text));
    const wrong = misfit(manifest, baseName(path));
    if (wrong !== undefined) throw new Error(wrong);
    return manifest;
  } catch (cause) {
    throw new UserError(
      `Unable to read the manifest ${path}: it is not as this version of pulumi-livedisk writes it. Nothing was touched. ` +
        "If a newer version began the move, let that version finish it; if somebody edited the file, put its text back.",
      { cause },
    );
  }
}

export function manifestText(manifest: WrittenManifest): string {
  return `${JSON.stringify(manifestSchema.parse(manifest), null, 2)}\n`;
}

/**
 * What the guest's writes go to, in the order of a move. `former`: the image that was active before it. `overlay`: what was put
 * on top of that, at the source. `target`: what was mirrored onto. `landing`: the copied former image, into which the target was committed.
 */
export type Standing = "former" | "overlay" | "target" | "landing";

export const standings = ["former", "overlay", "target", "landing"] as const satisfies Standing[];

/** The images of a move, each by its path. Without an overlay there are two: no image stands for one that the move does not have. */
export function imagesOf({ source, destination, overlay }: Manifest): Partial<Record<Standing, string>> {
  const ends = { former: source.active, target: destination.target };
  return overlay ? { ...ends, overlay: overlay.path, landing: overlay.landing } : ends;
}

/** @throws BugError for an image that a move without an overlay does not have */
export function pathOf(manifest: Manifest, standing: Standing): string {
  const path = imagesOf(manifest)[standing];
  if (path === undefined) throw new BugError(`The move of ${manifest.disk} has no overlay, and its ${standing} was asked for.`);
  return path;
}

/** Where `current` says that a boot must go: the one image with that path, which every manifest that was read has ({@link misfit}). */
export function currentStanding(manifest: Manifest): Standing {
  const images = imagesOf(manifest);
  const found = standings.find((standing) => images[standing] === manifest.current);
  if (found === undefined)
    throw new BugError(`\`current\` of the move of ${manifest.disk} is ${manifest.current}, which is none of its images.`);
  return found;
}

/**
 * The format of the image that lies frozen under an overlay, and of its copy: as the chain had it when the move was drafted. A header
 * would not tell, since a guest can write one into its raw disk.
 */
export function frozenFormat({ disk, overlay, destination: { backing } }: Manifest): string {
  if (!overlay || !backing) throw new BugError(`The move of ${disk} has no frozen image, and its format was asked for.`);
  return backing.format;
}

/** How many switches the manifest tells of: of two that differ, the lower one is from before a switch that was not written down whole. */
export function switchesWritten(manifest: Manifest): number {
  const current = currentStanding(manifest);
  const folds = manifest.overlay?.committed === "source";
  if (folds && current === "overlay") return 1.5; // under way through libvirt
  return (folds ? 2 : 0) + { former: 0, overlay: 1, target: 2, landing: 3 }[current];
}

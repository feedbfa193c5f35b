/**
 * Which manifest is the newer one, and whether it lies where it was written: one that was moved, or brought back from a backup, tells of a
 * move that has gone on without it.
 */

import { z } from "zod";
import { compareIdentities, type Identity, identity } from "../core/disk/identity.js";
import { directoryOf } from "../core/disk/paths.js";
import { UserError } from "../core/errors.js";
import { seeFiles } from "../host/file-seen.js";
import type { Host } from "../host/host.js";

/** Raised by each step that writes both manifests. Absent where 0.1.0 has begun. */
export const generation = z.int().min(1).optional();

/** The directories in which the two manifests lie. Absent where 0.1.0 has begun. */
export const directories = z.strictObject({ source: identity, destination: identity }).optional();

interface Numbered {
  disk: string;
  generation?: number | undefined;
}

/** The manifest for the next write of both sides. */
export function raised<M extends Numbered>(manifest: M): M {
  return manifest.generation === undefined ? manifest : { ...manifest, generation: manifest.generation + 1 };
}

/** A step that was cut leaves two that follow each other. The next step counts from the lower one, so that they never get further apart. */
export function withLowerOf<M extends Numbered>(manifest: M, other: Numbered): M {
  const { generation: own } = manifest;
  return own === undefined || other.generation === undefined ? manifest : { ...manifest, generation: Math.min(own, other.generation) };
}

/** What is gone on with, for messages: `the move`, and on which host. */
interface Continued {
  goal: string;
  hostName: string;
}

/** A manifest with its path. */
export type PlacedManifest = Numbered & { path: string };

/** @throws UserError if one of the two is older than a step that was cut can leave it */
export function refuseBroughtBack({ goal, hostName }: Continued, one: PlacedManifest, two: PlacedManifest): void {
  const steps = (one.generation ?? 0) - (two.generation ?? 0);
  if (one.generation === undefined || two.generation === undefined || Math.abs(steps) <= 1) return;
  const [newer, older] = steps > 0 ? [one, two] : [two, one];
  throw new UserError(
    `Unable to go on with ${goal} of ${one.disk} on ${hostName}: the manifest ${older.path} is ${Math.abs(steps)} steps older than ${newer.path}, ` +
      `so somebody has brought it back. Nothing was touched. If nothing else there was brought back, copy ${newer.path} over it, then run again.`,
  );
}

/** @throws UserError if the manifest lies in another directory than the one in which it was written */
export async function refuseMoved(
  host: Host,
  goal: string,
  { disk, path, home }: { disk: string; path: string; home: Identity | undefined },
) {
  if (!home) return;
  const [directory] = await seeFiles(host, [directoryOf(path)], "follow");
  if (!directory || compareIdentities(directory.identity, home) !== "different") return;
  throw new UserError(
    `Unable to go on with ${goal} of ${disk}: ${directoryOf(path)} on ${host.name} is another directory than the one in which the manifest ${path} ` +
      "was written, so somebody has moved or copied it. Nothing was touched. Mount the storage again that was there, or take that manifest away " +
      "if the disk is not there any more, then run again.",
  );
}

/** @throws UserError for a manifest that is found, and at neither of the places that it names */
export function refuseStray(
  { goal, hostName }: Continued,
  { disk, path, places }: { disk: string; path: string; places: readonly string[] },
): never {
  throw new UserError(
    `Unable to go on with ${goal} of ${disk} on ${hostName}: the manifest ${path} belongs at ${places.join(" or ")}, where none is, so somebody has moved it. ` +
      "Nothing was touched. Put it back, or take it away if the disk is not there any more, then run again.",
  );
}

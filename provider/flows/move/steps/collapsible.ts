/** Ways in which a chain cannot be shortened: refused before the first byte, and in a move that an older version began so. */

import { frozenFormat, type Manifest } from "../../../journal/manifest.js";
import { complaint } from "../../shared/complaint.js";
import type { SeenDisk, Site } from "../../shared/site.js";

/** A pull ends on the overlay's other half, which has the former image's name: only a qcow2 can be that. */
export function checkCollapse(site: Site, { disk, image }: SeenDisk): void {
  const { strategy, collapse } = site.options;
  if (strategy !== "snapshot" || collapse !== "pull" || image.chain[0].format !== "raw") return;
  throw complaint(site, {
    verb: "move",
    disk,
    why: `a raw image cannot take up an overlay, as collapse "pull" would have ${image.chain[0].path} do`,
    advice: 'Use collapse "commit", or strategy "mirror".',
  });
}

/** @throws UserError before a step that leads the move on to an end in which a boot would misread the disk */
export function checkUnderWay(site: Site, disk: SeenDisk): void {
  const { manifest, standing } = disk;
  if (!manifest?.overlay) return;
  if (manifest.overlay.collapse === "pull" && frozenFormat(manifest) === "raw")
    throw standing === "target" ? misnamed(site, disk, manifest) : unfit(site, disk, "a raw image cannot take up an overlay");
  if (manifest.overlay.collapse === "none" && manifest.link && standing !== "target") {
    const why = `with collapse "none" a boot through the link ${manifest.link.path} would find the frozen image below the overlay that stays`;
    throw unfit(site, disk, why);
  }
}

function unfit(site: Site, { disk, manifest }: SeenDisk, why: string): Error {
  const left = `The guest runs on ${manifest?.current}, which is current.`;
  return complaint(site, {
    verb: "go on with the move of",
    disk,
    why: `an older version began it, and ${why}`,
    left,
    tellsCurrent: true,
    advice: 'Destroy the resource, which undoes the move at the source, then move the disk with collapse "commit".',
  });
}

function misnamed(site: Site, { disk }: SeenDisk, { destination: { target }, overlay }: Manifest): Error {
  return complaint(site, {
    verb: "go on with the move of",
    disk,
    why: `an older version began it, and ${target} is a qcow2 under the name of a raw image: a raw image cannot take up an overlay`,
    left: `The guest runs on ${target}, which is current, and no write is lost.`,
    tellsCurrent: true,
    advice:
      "Stop the guest, write the disk out with `qemu-img convert -f qcow2 -O raw`, start the guest from what that has written, then take away " +
      `${target}, ${overlay?.landing} and the manifests of this move.`,
  });
}

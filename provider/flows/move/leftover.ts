/** Whether a move was left on a host whose guest does not answer: the manifests tell, not our memory. */

import { isKind, UserError } from "../../core/errors.js";
import { DomainMissing, GuestNotRunning } from "../../hypervisor/hypervisor.js";
import { parseManifest } from "../../journal/manifest.js";
import { manifestTextsOf } from "../../journal/manifest-text.js";
import { moves } from "../../journal/records.js";
import { isSnapshotText } from "../../journal/snapshot-mark.js";
import { readDecided } from "../../journal/two-sided.js";
import type { Site } from "../shared/site.js";

/**
 * For a delete that could not look at its disks: fine where nothing was left.
 * @throws UserError naming the guest's unfinished move, if one of the directories has its manifest; `reason` itself, where the guest answers
 */
export async function nothingLeftOnHost(site: Site, domainId: string, directories: readonly string[], reason: unknown): Promise<void> {
  try {
    await moveLeftOnHost(site, domainId, directories);
  } catch (left) {
    const isSilent = reason instanceof GuestNotRunning || reason instanceof DomainMissing || !isKind(reason, "user");
    throw isSilent ? left : reason;
  }
}

/** @throws UserError naming the guest's unfinished move, if one of the directories has its manifest */
export async function moveLeftOnHost(site: Site, domainId: string, directories: readonly string[]): Promise<void> {
  for (const { path, text } of await manifestTextsOf(site.host, domainId, directories)) {
    if (isSnapshotText(text)) continue;
    const { manifest } = await readDecided(site.host, moves, parseManifest(text, path));
    throw new UserError(
      `Unable to end the move of ${manifest.disk} of ${site.guest.name} on ${site.host.name}: its guest does not answer, and ${path} tells of a move that is not ended. ` +
        `Nothing was touched; current: ${manifest.current}. Start the guest from there, then run again.`,
    );
  }
}

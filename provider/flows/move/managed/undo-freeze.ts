/** A freeze in whose moment somebody else's snapshot came: our overlay stands on theirs, and its header does not say so. */

import type { LayerFile } from "../../../core/disk/chain-options.js";
import type { JobStatus } from "../../../core/disk/job.js";
import { jobNames } from "../../../core/disk/names.js";
import { UserError } from "../../../core/errors.js";
import { committedTo, foldOf } from "../../shared/disk-switches.js";
import type { LiveChain } from "../../shared/live-chain.js";
import type { Outcome } from "../../shared/outcome.js";
import type { RecordedDisk, Seen, Site } from "../../shared/site.js";
import { switchDisks } from "../../shared/switch.js";
import { clear } from "../steps/endings.js";

interface Undoing {
  site: Site;
  seen: Seen;
  outcome: Outcome;
}

/**
 * What the guest wrote to our overlay goes down into theirs, on which the guest then runs as if nothing of ours had been. Until then
 * the persistent definition names the whole live chain, so that a start finds what the overlay's header does not tell; the switch
 * writes the definition that is right afterwards, while the guest is suspended.
 */
export async function undoFreeze(to: Undoing, disk: RecordedDisk, { layers }: LiveChain): Promise<void> {
  const { site, seen } = to;
  const [top, theirs, ...below] = layers.map(({ path, format }): LayerFile => ({ path, format }));
  if (!top || !theirs) return;
  if (disk.image.definedAt !== undefined) await site.guest.redefine(disk.qdev, { ...top, below: [theirs, ...below] });
  if ((await commitStatus(to, disk, theirs)) === undefined) {
    const of = { top: { node: disk.image.activeNode, path: top.path }, base: { depth: 1, path: theirs.path }, maxBytesPerSecond: 0 };
    await site.guest.commit(disk, of);
  }
  await untilReady(to, disk, theirs);
  await switchDisks(to, [{ ...(await foldOf(to, disk)), target: theirs }]);
  const manifest = { ...committedTo(disk.manifest, "source"), current: disk.manifest.source.active };
  await clear(site, seen, { ...disk, standing: "former", manifest });
}

/** Undefined where the guest's jobs were told and it is none of them. */
async function commitStatus({ site }: Undoing, { key }: RecordedDisk, { path }: LayerFile): Promise<JobStatus | undefined> {
  const { jobs } = await site.guest.look();
  return jobs.find(({ id, target }) => id === jobNames.commit(key) && target === path)?.status;
}

/** It is short: the overlay is some moments old. */
async function untilReady(to: Undoing, disk: RecordedDisk, theirs: LayerFile): Promise<void> {
  const { guest, host, options, run } = to.site;
  const deadline = run.world.clock() + options.stallSeconds;
  for (;;) {
    const status = await commitStatus(to, disk, theirs);
    if (status === "ready") return;
    if (status === undefined || run.world.clock() > deadline) {
      const what = status === undefined ? "ended by itself" : `was not ready after ${options.stallSeconds} s`;
      throw new UserError(
        `Unable to undo the freeze of ${disk.disk} of ${guest.name} on ${host.name}: its commit down into ${theirs.path} ${what}. ` +
          "The guest runs on, and its persistent definition names the whole chain. Look at libvirtd's log and at the free space, then run again.",
      );
    }
    await guest.wakeUp(0.2);
  }
}

/** What create, update and delete are: the one loop, with the resource's claim on its disks around it. */

import { directoryOf } from "../../core/disk/paths.js";
import { messageOf, tellsCurrent, UserError } from "../../core/errors.js";
import { type Properties, Unfinished } from "../../core/lifecycle.js";
import { manifestTextsOf } from "../../journal/manifest-text.js";
import { parseSnapshotManifest } from "../../journal/snapshot-manifest.js";
import { isSnapshotText } from "../../journal/snapshot-mark.js";
import { snapshots } from "../../journal/snapshot-records.js";
import { readDecided } from "../../journal/two-sided.js";
import { DiskOwners } from "../../reconciler/disk-owners.js";
import { Outcome } from "../shared/outcome.js";
import { whenMonitorIsFree } from "../shared/patience.js";
import { orEndLeft } from "../shared/silent-guest.js";
import { settleSnapshot } from "./flow.js";
import { endLeftPivots } from "./left-switch.js";
import { find, observe } from "./observe.js";
import { outputsOf } from "./report.js";
import type { Seen, SnapshotSite } from "./site.js";

/** The snapshot is there afterwards, and mirrored. @throws Unfinished if something of it was begun */
export async function make(site: SnapshotSite, inputs: Properties, id?: string): Promise<{ id: string; outputs: Properties }> {
  const { view, found } = await findDisks(site);
  acquireAll(site, view.domainId, found);
  const name = id ?? `${view.domainId}/${found.map(({ qdev }) => qdev).join(",")}`;
  try {
    const seen = await settleSnapshot(site, "mirror", new Outcome(site.run.world));
    return { id: name, outputs: { ...inputs, ...outputsOf(site, seen) } };
  } catch (thrown) {
    const seen = await observe(site).catch(() => undefined);
    const begun = id !== undefined || !seen || seen.disks.some(({ manifest }) => manifest !== undefined);
    if (!begun) throw thrown;
    throw new Unfinished(name, { ...inputs, ...(seen ? outputsOf(site, seen) : {}) }, withCurrent(thrown, seen));
  }
}

/** A run's first question to its guest. */
function findDisks(site: SnapshotSite): ReturnType<typeof find> {
  return orEndLeft(
    () => whenMonitorIsFree(site, () => find(site)),
    () => endLeftPivots(site),
  );
}

function acquireAll({ run: { world, urn } }: SnapshotSite, domainId: string, found: readonly { disk: string; qdev: string }[]): void {
  for (const { disk, qdev } of found) world.one(DiskOwners).acquire(domainId, qdev, { urn, disk });
}

/** The message repeats where a boot must find each disk. */
function withCurrent(thrown: unknown, seen: Seen | undefined): Error {
  const cause = thrown instanceof Error ? thrown : new Error(messageOf(thrown));
  const places = seen?.disks.map(({ disk, manifest, active }) => `${disk} at ${manifest?.current ?? active.named}`);
  if (!places || tellsCurrent(cause)) return cause;
  return Object.assign(cause, { message: `${cause.message} current: ${places.join(", ")}.` });
}

/** The snapshot has ended as asked afterwards; with one that is not there nothing is done. */
export async function end(site: SnapshotSite, ending: "pivot" | "abort"): Promise<void> {
  const { view, found } = await findDisks(site);
  acquireAll(site, view.domainId, found);
  const outcome = new Outcome(site.run.world);
  await settleSnapshot(site, ending, outcome);
  for (const { disk, qdev } of found) {
    const { pauseMs } = outcome.tell(disk) ?? {};
    if (pauseMs !== undefined) site.run.say("info", `${disk} pivoted; its I/O waited for ${pauseMs} ms.`);
    site.run.world.one(DiskOwners).release(view.domainId, qdev, site.run.urn);
  }
}

/** @throws UserError if the guest does not run and its snapshot lies on the host: it can only be ended while the guest runs */
export async function snapshotLeftOnHost(site: SnapshotSite, domainId: string): Promise<void> {
  const directories = site.disks.flatMap(({ file, mirror }) => [directoryOf(file), directoryOf(mirror)]);
  for (const { path, text } of await manifestTextsOf(site.host, domainId, directories)) {
    if (!isSnapshotText(text)) continue;
    const written = parseSnapshotManifest(text, path);
    if (!site.disks.some((wanted) => wanted.file === written.file.path)) continue;
    const { disk, current } = (await readDecided(site.host, snapshots, written)).manifest;
    throw new UserError(
      `Unable to end the mirrored snapshot of ${disk} of ${site.guest.name} on ${site.host.name}: its guest does not run, and ${path} tells of a snapshot that is not ended. ` +
        `Nothing was touched; current: ${current}. Start the guest from there, then run again.`,
    );
  }
}

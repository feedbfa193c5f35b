/** A guest that a switch has left suspended: the program on the host was killed, or did not see that its QEMU lives. */

import { diskKey } from "../../../core/disk/names.js";
import { directoryOf } from "../../../core/disk/paths.js";
import { UserError } from "../../../core/errors.js";
import { type DiskView, type GuestView, suspendedNow } from "../../../hypervisor/hypervisor.js";
import { SwitchUnderWay } from "../../../hypervisor/unable.js";
import { correctBoth } from "../../../journal/corrected.js";
import { currentStanding, imagesOf, manifestText, standings } from "../../../journal/manifest.js";
import { manifestPaths, readRecords } from "../../../journal/records.js";
import { inWords, wordsOf } from "../../shared/complaint.js";
import type { Site } from "../../shared/site.js";
import { definitionBehind } from "../look/definition.js";
import { manifestAt } from "../steps/endings.js";

/**
 * Lets the guest go on if a switch that is over has left it suspended, whatever else is to be done. The switch may be one of a disk that this run does not move.
 * @param waitSeconds for its end; by default for as long as one takes
 * @throws UserError if it is not over, or if the guest is suspended still
 */
export async function letGoSuspended(site: Site, disks: readonly string[], waitSeconds?: number): Promise<void> {
  const { guest, host, run } = site;
  const { suspending } = guest;
  if (!suspending) return;
  const view = await guest.look();
  if (!view.suspension) return;
  let unwritten: UserError | undefined;
  const first = async (now: GuestView, deadline: number) => {
    unwritten = await writeDownWhereItRuns({ site, view: now }, deadline);
  };
  const left = suspendedNow(view) ? { left: "The guest is suspended, and writes nothing." } : {};
  const told = { verb: "go on with", disk: disks.join(", "), ...left };
  const resumed = await inWords(site, told, () => suspending.resume(view.domainId, first, waitSeconds));
  if (!resumed) return;
  if (unwritten) throw unwritten;
  const { wasSuspended, state } = resumed;
  const outcome = state.startsWith("running") ? "it runs on" : `its domain is ${state} now`;
  if (wasSuspended) run.say("warning", `${guest.name} on ${host.name} was suspended by a switch that was cut; ${outcome}.`);
}

/** The same in a run that is under way: another's switch may last as long as it likes, and whether anything moves is told elsewhere. */
export async function letGoOrWait(site: Site, disks: readonly string[], wait: () => Promise<void>): Promise<void> {
  try {
    await letGoSuspended(site, disks, 0);
  } catch (thrown) {
    if (!(thrown instanceof UserError && thrown.cause instanceof SwitchUnderWay)) throw thrown;
    await wait();
  }
}

interface Suspended {
  site: Site;
  view: GuestView;
}

/** Before it may write again. @returns what could not be done, which must not keep the guest suspended */
async function writeDownWhereItRuns(to: Suspended, deadline: number): Promise<UserError | undefined> {
  try {
    for (const disk of to.view.disks) {
      if (to.site.host.world.clock() > deadline) throw new UserError(`Unable to look at ${disk.qdev}: the host took too long.`);
      await writeDownDisk(to, disk);
    }
    return undefined;
  } catch (thrown) {
    const why = `the guest runs on, but its persistent definition or manifests may name another file than it runs on: ${wordsOf(thrown)}`;
    return new UserError(
      `Unable to go on with the move on ${to.site.host.name}: ${why}. Look at \`virsh domblklist --inactive\`, then run again.`,
    );
  }
}

/** The definition first: a boot goes by that. */
async function writeDownDisk({ site: { host, guest }, view: { domainId } }: Suspended, { qdev, medium }: DiskView): Promise<void> {
  if (medium.kind !== "image") return;
  const [active] = medium.chain;
  const key = diskKey(domainId, qdev);
  const records = await readRecords(host, key, [directoryOf(active.path)]);
  if (!records) return;
  if (medium.definedAt !== undefined && definitionBehind(records.manifest, medium, active.path)) await guest.redefine(qdev, active);
  const standing = standings.find((one) => imagesOf(records.manifest)[one] === active.path);
  if (standing === undefined || currentStanding(records.manifest) === standing) return;
  const isFolded = standing === "former" && records.manifest.overlay?.committed === "source";
  const now = isFolded ? { ...records.manifest, current: active.path } : manifestAt(records.manifest, standing);
  await correctBoth(host, manifestPaths(records.manifest, key), manifestText(now));
}

/** What create, update and delete of a resource are: the one loop, with the resource's claim on its disks around it. */

import { baseName } from "../../core/disk/paths.js";
import { isKind, messageOf, tellsCurrent, tellsWhatToDo, UserError } from "../../core/errors.js";
import { seeFiles } from "../../host/file-seen.js";
import { findDisk } from "../../hypervisor/find-disk.js";
import { GuestNotRunning, MonitorBusy } from "../../hypervisor/hypervisor.js";
import type { Manifest } from "../../journal/manifest.js";
import { readRecords } from "../../journal/records.js";
import { DiskOwners } from "../../reconciler/disk-owners.js";
import type { HeldPlaces } from "../../reconciler/held-places.js";
import { Outcome } from "../shared/outcome.js";
import { whenMonitorIsFree } from "../shared/patience.js";
import { orEndLeft } from "../shared/silent-guest.js";
import type { Seen, Site } from "../shared/site.js";
import { moveDisks } from "./flow.js";
import { endLeftSwitches, leftMoves } from "./left-switch.js";
import { withPlacesLocked } from "./locked.js";
import { observe } from "./look/observe.js";
import type { Goal } from "./plan.js";

export interface Converged {
  seen: Seen;
  outcome: Outcome;
}

/** A move that stopped after something was begun: the state must remember the resource, so that the next `up` goes on. */
export class HalfWay extends Error {
  constructor(
    override readonly cause: Error,
    /** What the host shows now; undefined when the guest does not answer. */
    readonly seen: Seen | undefined,
    /** What is written down of the moves; none where the host does not answer either. */
    readonly recorded: readonly Manifest[],
    readonly outcome: Outcome,
  ) {
    super(cause.message, { cause });
  }
}

/** @throws HalfWay if something was begun and a manifest lies on the host afterwards, or if that cannot be seen */
export async function converge(site: Site, disks: readonly string[], goal: Goal): Promise<Converged> {
  try {
    await orEndLeft(
      () => whenMonitorIsFree(site, () => claimAll(site, disks)),
      () => endLeftSwitches(site),
    );
    return await withPlacesLocked(site, disks, (places) => underLock(site, places, goal));
  } catch (thrown) {
    throw thrown instanceof CutOff ? await asFound(site, thrown) : await asLeft(site, thrown);
  }
}

/** A run that has begun nothing, since its guest or its host fell silent: what an earlier one has begun is repeated. */
async function asLeft(site: Site, thrown: unknown): Promise<unknown> {
  if (!isSilence(thrown)) return thrown;
  try {
    return withCurrent(thrown, undefined, await leftMoves(site));
  } catch (unread) {
    // of a host that is silent there is nothing else to say
    return isSilence(unread) ? thrown : withoutCurrent(thrown, unread);
  }
}

function isSilence(thrown: unknown): thrown is Error {
  if (thrown instanceof MonitorBusy) return false;
  // a lock that was asked for and never granted has changed nothing either
  return thrown instanceof GuestNotRunning || isKind(thrown, "unreachable") || isKind(thrown, "outcome-unknown");
}

/** The worker that held the locks has ended: from here on another one may look, and command nothing. */
class CutOff extends Error {
  constructor(
    override readonly cause: Error,
    readonly places: HeldPlaces,
    readonly outcome: Outcome,
  ) {
    super(cause.message, { cause });
  }
}

async function underLock(site: Site, places: HeldPlaces, goal: Goal): Promise<Converged> {
  const outcome = new Outcome(site.run.world);
  try {
    return { seen: await moveDisks(site, places, { goal, outcome }), outcome };
  } catch (thrown) {
    const ended = new CutOff(thrown instanceof Error ? thrown : new Error(messageOf(thrown)), places, outcome);
    const isCutOff = await site.host.worker().then(
      () => false,
      () => true,
    );
    throw isCutOff ? ended : await asFound(site, ended);
  }
}

/** Why a move has ended, with what is on the host by then. */
async function asFound(site: Site, { cause, places, outcome }: CutOff): Promise<Error> {
  const seen = await observe(site, places.disks).catch(() => undefined);
  try {
    // a guest that ended in the middle cannot be asked, but what is written down says where it must boot from
    const recorded = await recordedAt(site, places);
    return recorded.length === 0 ? cause : new HalfWay(withCurrent(cause, seen, recorded), seen, recorded, outcome);
  } catch (unread) {
    return new HalfWay(withoutCurrent(cause, unread), seen, [], outcome);
  }
}

async function recordedAt(site: Site, { all }: HeldPlaces): Promise<Manifest[]> {
  const records = await Promise.all(all.map(({ key, directories }) => readRecords(site.host, key, directories)));
  return records.flatMap((found) => (found === undefined ? [] : [found.manifest]));
}

/** The message repeats where a boot must find each disk, and says what to do. */
function withCurrent(cause: Error, seen: Seen | undefined, recorded: readonly Manifest[]): Error {
  if (recorded.length === 0) return cause;
  const { message } = cause;
  const places = tellsCurrent(cause) ? "" : ` current: ${recorded.map(({ disk, current }) => `${disk} at ${current}`).join(", ")}.`;
  const start = seen === undefined && places !== "" ? " If the guest does not run, start it from there." : "";
  const again = start !== "" || !tellsWhatToDo(cause) ? " Then run `pulumi up` again: it goes on." : "";
  return Object.assign(cause, { message: `${message}${places}${start}${again}` });
}

/** The manifests could not be read: that is not "there are none". */
function withoutCurrent(cause: Error, reason: unknown): Error {
  const why = messageOf(reason) === cause.message ? "." : `: ${messageOf(reason)}`;
  const unread = `The manifests on the host, which say where a boot must find each disk, could not be read${why}`;
  const then = isSilence(reason)
    ? " Run `pulumi up` again when the host answers: it goes on."
    : " Settle that, then run `pulumi up` again.";
  const again = tellsWhatToDo(cause) ? "" : then;
  return Object.assign(cause, { message: `${cause.message} ${unread}${again}` });
}

async function claimAll(site: Site, disks: readonly string[]): Promise<void> {
  const view = await site.guest.look();
  const { world, urn } = site.run;
  for (const disk of disks) world.one(DiskOwners).acquire(view.domainId, (await findDisk(site.guest, view, disk)).qdev, { urn, disk });
}

/** Gives the disks free, so that another resource of the same run may own them. */
export async function release(site: Site, disks: readonly string[]): Promise<void> {
  const view = await site.guest.look();
  const { world, urn } = site.run;
  for (const disk of disks) world.one(DiskOwners).release(view.domainId, (await findDisk(site.guest, view, disk)).qdev, urn);
}

/** Names of all disks of the guest that hold an image which can be moved: what `disks` is when it is left out. */
export async function allImages(site: Site): Promise<string[]> {
  const { disks } = await orEndLeft(
    () => site.guest.look(),
    () => endLeftSwitches(site),
  );
  const images = disks.filter(({ medium, qdev }) => medium.kind === "image" && !medium.readOnly && !isFirmware(qdev));
  const names = images.map(({ names, qdev }) => names.find((name) => !name.includes("/")) ?? qdev);
  if (names.length === 0)
    throw new UserError(`${baseName(site.guest.name)} on ${site.host.name} has no disk with an image that can be moved.`);
  return names;
}

/** The machine's own flash, where UEFI keeps its variables, is no disk of the guest (hw/i386/pc_sysfw.c, QEMU 7.2). */
function isFirmware(qdev: string): boolean {
  return qdev.startsWith("/machine/system.flash");
}

/** Whether the guest itself cannot be looked at, while its host answers: it is stopped, or its monitor is busy. */
export async function guestIsSilent(site: Site, thrown: unknown): Promise<"silent" | "host-is-silent"> {
  if (!isKind(thrown, "user") && !isKind(thrown, "unreachable")) throw thrown;
  try {
    await seeFiles(site.host, ["/"], "follow");
    return "silent";
  } catch {
    return "host-is-silent";
  }
}

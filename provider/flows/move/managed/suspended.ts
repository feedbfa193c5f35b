/** A guest that a switch has suspended, and that nobody has let go: the script on the host and its watchdog were killed. The next run does it. */

import { diskKey } from "../../../core/disk/names.js";
import { directoryOf } from "../../../core/disk/paths.js";
import { UserError } from "../../../core/errors.js";
import type { DiskView, GuestView, ManagedGuest, Suspension } from "../../../hypervisor/hypervisor.js";
import { readRecords } from "../../../journal/records.js";
import { complaint, wordsOf } from "../../shared/complaint.js";
import type { Site } from "../../shared/site.js";
import { definitionBehind } from "../look/definition.js";

/**
 * Nobody can end a run that is asleep, so the lock that it holds on the host ends by itself; before that the run acts no more, also one that
 * was asleep meanwhile.
 */
const lockSeconds = 240;
const actingSeconds = 200;

/** What a look shows of it: a switch may be under way, too. Only what acts can find out. */
export function suspendedNow({ suspension, status }: GuestView): Suspension | undefined {
  return status === "paused" ? suspension : undefined;
}

/** For a read, which changes nothing. */
export function tellSuspended({ run, host, guest }: Site, view: GuestView): void {
  if (!suspendedNow(view)) return;
  run.say(
    "warning",
    `${guest.name} on ${host.name} is suspended for a switch. If no run is under way, run \`pulumi up\`: it lets the guest go on.`,
  );
}

/**
 * Lets the guest go on if a switch that is over has left it suspended, whatever else is to be done. The switch may be one of a disk that this run does not move.
 * @throws UserError if the switch is not over, or if the guest is suspended still
 */
export async function letGoSuspended(site: Site, disks: readonly string[]): Promise<void> {
  const { guest, host, run } = site;
  const { managed } = guest;
  const suspension = managed && (await guest.look()).suspension;
  if (!suspension) return;
  const refuse = (why: string, advice: string, cause?: unknown) => {
    const left = "The guest is suspended, and writes nothing.";
    return complaint(site, { verb: "go on with", disk: disks.join(", "), why, left, advice, cause });
  };
  const deadline = performance.now() + 1000 * actingSeconds;
  const lock = await lockSwitch(site, suspension);
  try {
    const view = await guest.look();
    const { suspension: now } = view;
    if (now?.switchLock !== suspension.switchLock) return letGoSuspended(site, disks); // another switch has begun or ended meanwhile
    if (lock.said !== "locked") {
      if (!suspendedNow(view)) return;
      const why = `a switch has suspended it, and it is not known whether that is over: ${suspension.switchLock} cannot be locked (${lock.said})`;
      throw refuse(why, "If libvirtd is down, start it. If no switch goes on there, `virsh resume` the guest, then run again.");
    }
    const undefinable = await defineWhereItRuns(site, managed, { view, suspension, deadline });
    let state: string;
    try {
      state = await managed.letGo(deadline);
    } catch (cause) {
      throw refuse(
        `a switch that was cut has left its guest suspended, and ${wordsOf(cause)}`,
        "Look at libvirtd and the guest's QEMU there, then run again.",
        cause,
      );
    }
    if (undefinable) throw undefinable;
    const outcome = state.startsWith("running") ? "it runs on" : `its domain is ${state} now`;
    if (suspendedNow(view)) run.say("warning", `${guest.name} on ${host.name} was suspended by a switch that was cut; ${outcome}.`);
  } finally {
    await lock.release();
  }
}

/** Holds the lock of the switch, so that no other begins meanwhile; or says why not. A file that is not there is not made: its directory may be unmounted. */
async function lockSwitch({ host }: Site, { switchLock }: Suspension) {
  /**
   * @host flock, timeout, cat
   * @for locks
   * @does holds the lock of a switch, for at most four minutes
   * @changes nothing: a lock file that is not there is not made
   * @as the account
   * @why no other switch begins while a guest that was left suspended is resumed
   */
  const script = `[ -e "$1" ] || { echo "it is not there"; exit 0; }
exec 9<"$1" && flock -w 60 9 && echo locked || echo "it is held"
exec timeout "$2" cat >/dev/null`;
  const conversation = await host.open(script, [switchLock, String(lockSeconds)]);
  try {
    const said = await conversation.next(90);
    return { said, release: async () => void (await conversation.end()) };
  } catch (cause) {
    conversation.abandon();
    throw cause;
  }
}

/** Before it may write again. @returns what could not be done, which must not keep the guest suspended */
async function defineWhereItRuns(
  site: Site,
  managed: ManagedGuest,
  { view, suspension, deadline }: { view: GuestView; suspension: Suspension; deadline: number },
): Promise<UserError | undefined> {
  try {
    for (const disk of view.disks) {
      if (performance.now() > deadline) throw new UserError(`Unable to look at ${disk.qdev}: the host took too long.`);
      await defineDisk(site, managed, { view, disk }, directoryOf(suspension.switchLock));
    }
    return undefined;
  } catch (thrown) {
    const why = `the guest runs on, but its persistent definition may name another file than it runs on: ${wordsOf(thrown)}`;
    return new UserError(
      `Unable to go on with the move on ${site.host.name}: ${why}. Look at \`virsh domblklist --inactive\`, then run again.`,
    );
  }
}

async function defineDisk(
  site: Site,
  managed: ManagedGuest,
  { view, disk: { qdev, medium } }: { view: GuestView; disk: DiskView },
  directory: string,
): Promise<void> {
  if (medium.kind !== "image" || medium.definedAt === undefined) return;
  const [active] = medium.chain;
  if (medium.definedAt === active.path) return;
  const records = await readRecords(site.host, diskKey(view.domainId, qdev), [directory, directoryOf(active.path)]);
  if (records && definitionBehind(records.manifest, medium, active.path)) await managed.redefine(qdev, active);
}

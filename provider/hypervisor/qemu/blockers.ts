/** What of the guest's own state forbids that a job is begun or a switch made, as QEMU tells it. */

import type { Blocker } from "../hypervisor.js";
import type { QmpSession } from "./client.js";
import { QmpRefusal } from "./refusal.js";
import * as replies from "./replies.js";

const wait = "Wait until the migration has ended, then run `pulumi up` again.";
const saved = "Wait until that has ended, then run `pulumi up` again.";

/** @see QEMU QMP reference, RunState: in these the images belong to another QEMU, or will, or their content is being written down */
const busyStates: Readonly<Record<string, { why: string; advice: string }>> = {
  postmigrate: {
    why: "this QEMU is the former source of a migration, and the guest runs elsewhere (run state postmigrate)",
    advice: "Correct `host` and `domain`, so that they name the guest where it runs.",
  },
  inmigrate: { why: "the guest has not come yet: this QEMU waits for a migration to come in (run state inmigrate)", advice: wait },
  "finish-migrate": { why: "the guest is being migrated (run state finish-migrate)", advice: wait },
  colo: { why: "the guest is replicated to another QEMU (run state colo)", advice: "End the replication, then run `pulumi up` again." },
  "save-vm": { why: "a snapshot of the whole guest is being taken (run state save-vm)", advice: saved },
  "restore-vm": { why: "a snapshot of the whole guest is being restored (run state restore-vm)", advice: saved },
};

/** @see QEMU QMP reference, MigrationStatus: every other one, known or not, is that of a migration under way */
const migrationOver: readonly (string | undefined)[] = [undefined, "none", "completed", "cancelled", "failed"];

/**
 * One write, however many devices, which are told by their QOM paths.
 *
 * @host QMP query-status, QMP query-migrate
 * @for monitor
 * @does asks whether the guest is being migrated or saved
 * @changes nothing
 * @as QEMU, as the user that it runs as
 * @why its images then belong to another QEMU, or will
 */
export async function blockersOf(session: QmpSession, devices: readonly { qdev: string; path: string }[]): Promise<Blocker[]> {
  const [{ status }, migration, shared] = await Promise.all([
    session.call("query-status", replies.status),
    session.call("query-migrate", replies.migration),
    Promise.all(devices.map(({ path }) => sharesWrites(session, path))),
  ]);
  const busy = busyStates[status];
  const migrating = migrationOver.includes(migration.status)
    ? []
    : [{ concerns: "guest" as const, why: `the guest is being migrated (status ${migration.status})`, advice: wait }];
  const sharing = devices.filter((_, index) => shared[index] === true).map(({ qdev }) => sharedDisk(qdev));
  return [...(busy ? [{ concerns: "guest" as const, ...busy }] : migrating), ...sharing];
}

function sharedDisk(qdev: string): Blocker {
  return {
    concerns: "sharing",
    qdev,
    why: "its device has share-rw=on, so that another guest may write to the same image, which would not move with this one",
    advice: "Start the guest without share-rw, or leave the disk where it is.",
  };
}

/**
 * `share-rw` is on the device that has the block properties (DEFINE_BLOCK_PROPERTIES, hw/block/block.h): measured on 7.2, a virtio disk
 * answers by its backend's path as by the device's own, scsi-hd by the device, nvme by the drive or by its namespace, as query-block names
 * them. A device that has no such property says nothing.
 *
 * @host QMP qom-get
 * @for monitor
 * @does asks whether a device has `share-rw`
 * @changes nothing
 * @as QEMU, as the user that it runs as
 * @why another guest may write to that image
 */
async function sharesWrites(session: QmpSession, path: string): Promise<boolean | undefined> {
  try {
    return await session.call("qom-get", replies.flag, { path, property: "share-rw" });
  } catch (refusal) {
    if (refusal instanceof QmpRefusal) return undefined;
    throw refusal;
  }
}

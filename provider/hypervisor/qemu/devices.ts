/** What a device says of itself. @see QEMU QMP reference, qom-get */

import type { z } from "zod";
import { directoryOf } from "../../core/disk/paths.js";
import type { GuestRequests } from "../hypervisor.js";
import type { Monitor } from "./monitor.js";
import { QmpRefusal } from "./refusal.js";
import { flag, text } from "./replies.js";

/** Of a device with an id, query-block tells that: an nvme drive's namespace has the drive's own, so it alone is no path (7.2). */
export function qomPath(qdev: string): string {
  return qdev.startsWith("/") ? qdev : `/machine/peripheral/${qdev}`;
}

/** Not every device has one: a floppy drive has no serial. */
export function serialOf(monitor: Monitor, qdev: string): Promise<string | undefined> {
  return optional(monitor, text, { path: qomPath(qdev), property: "serial" });
}

/**
 * virtio-blk and virtio-scsi are told of the guest's requests by an eventfd, and QEMU does not look at that while a disk is drained
 * (aio_disable_external(), 7.2). What a device is told of by a write of the vCPU itself, it hands on at once, as all the others do, and these
 * with `ioeventfd=off`.
 *
 * @host QMP qom-get
 * @for monitor
 * @does asks for a device's type
 * @changes nothing
 * @as QEMU, as the user that it runs as
 * @why a raw image is refused whose device hands on requests in the switch
 * @throws QmpRefusal if the device is not there any more
 */
export async function requestsOf(monitor: Monitor, qdev: string): Promise<GuestRequests> {
  const path = qomPath(qdev);
  // every object has a type (object_class_init() in qom/object.c, 7.2)
  const device = await monitor.ask("qom-get", text, { path, property: "type" });
  const virtio = device.startsWith("scsi-") ? await controllerOf(monitor, path) : path;
  const type = virtio === undefined ? undefined : await optional(monitor, text, { path: virtio, property: "type" });
  if (virtio === undefined || !/^virtio-(blk|scsi)/.test(type ?? "")) return { wait: "in-qemu", device };
  const transport = await controllerOf(monitor, virtio);
  const isByEvent = transport !== undefined && (await optional(monitor, flag, { path: transport, property: "ioeventfd" })) === true;
  return isByEvent ? { wait: "in-guest" } : { wait: "in-qemu", device };
}

/** What the bus of a device belongs to. */
async function controllerOf(monitor: Monitor, path: string): Promise<string | undefined> {
  const bus = await optional(monitor, text, { path, property: "parent_bus" });
  return bus === undefined ? undefined : directoryOf(bus);
}

/**
 * Undefined where the object has no such property.
 *
 * @host QMP qom-get
 * @for monitor
 * @does asks for a device's serial number, for its bus, and whether its controller has `ioeventfd`
 * @changes nothing
 * @as QEMU, as the user that it runs as
 * @why a disk may be named by its serial number; a raw image is refused whose device hands on requests in the switch
 */
async function optional<S extends z.ZodType>(
  monitor: Monitor,
  shape: S,
  { path, property }: { path: string; property: string },
): Promise<z.output<S> | undefined> {
  try {
    return await monitor.ask("qom-get", shape, { path, property });
  } catch (refusal) {
    if (refusal instanceof QmpRefusal) return undefined;
    throw refusal;
  }
}

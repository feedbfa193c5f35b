/** What a device says of itself. @see QEMU QMP reference, qom-get */

import type { Monitor } from "./monitor.js";
import { QmpRefusal } from "./refusal.js";
import { text } from "./replies.js";

/** Of a device with an id, query-block tells that: an nvme drive's namespace has the drive's own, so it alone is no path (7.2). */
export function qomPath(qdev: string): string {
  return qdev.startsWith("/") ? qdev : `/machine/peripheral/${qdev}`;
}

/**
 * Not every device has one: a floppy drive has no serial.
 *
 * @host QMP qom-get
 * @for monitor
 * @does asks for a device's serial number
 * @changes nothing
 * @as QEMU, as the user that it runs as
 * @why a disk may be named by its serial number
 */
export async function serialOf(monitor: Monitor, qdev: string): Promise<string | undefined> {
  try {
    return await monitor.ask("qom-get", text, { path: qomPath(qdev), property: "serial" });
  } catch (refusal) {
    if (refusal instanceof QmpRefusal) return undefined;
    throw refusal;
  }
}

/**
 * Every object has a type (object_class_init() in qom/object.c, 7.2). @throws QmpRefusal if the device is not there any more
 *
 * @host QMP qom-get
 * @for monitor
 * @does asks for a device's type
 * @changes nothing
 * @as QEMU, as the user that it runs as
 * @why a raw image of an emulated nvme drive is refused
 */
export function typeOf(monitor: Monitor, qdev: string): Promise<string> {
  return monitor.ask("qom-get", text, { path: qomPath(qdev), property: "type" });
}

/**
 * That a guest is suspended by a switch of ours. Pure. The worker records it (pausing.py) in the metadata of the running domain before the guest is suspended.
 *
 * There it lasts as long as this very QEMU: libvirt writes it into its status file before it answers (virDomainObjSetMetadata(), 9.0), which
 * outlives libvirtd, and a guest that is destroyed and started has none. Tried: set, libvirtd killed and started: it is there; the guest
 * destroyed and started: it is not.
 */

import type { Suspension } from "../hypervisor.js";
import { command } from "./words.js";
import { child, type Element } from "./xml.js";

const namespace = "urn:pulumi-livedisk:switch";
const prefix = "livedisk";

/** The command of virsh that ends the record. Where there is none, it does nothing. */
export function endLine(domain: string): string {
  return command(`metadata --live --uri ${namespace} --remove`, "--domain", domain);
}

/** What is recorded in the XML of a running domain. */
export function suspensionIn(domain: Element): Suspension | undefined {
  const metadata = child(domain, "metadata");
  const switchLock = metadata && child(metadata, `${prefix}:suspended`)?.attributes.switchLock;
  return switchLock === undefined ? undefined : { switchLock };
}

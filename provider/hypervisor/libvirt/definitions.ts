/** Persistent definitions as files on the host. */

import { unable } from "../../host/complaints.js";
import type { Host } from "../../host/host.js";

/** It may wait for what others write. */
const syncSeconds = 120;

/** Where the account may not open the directory of the system's definitions, sync(2) does more than is needed. */
const script = `for place in /etc/libvirt/qemu "$HOME/.config/libvirt/qemu"; do
  if [ ! -d "$place" ]; then continue; fi
  if [ -r "$place" ]; then sync -- "$place/" || exit; else sync || exit; fi
done`;

/**
 * Makes what libvirt has defined last through a power cut: it writes a definition whole and syncs it, and gives it its name without a sync of
 * the directory (virFileRewrite() in src/util/virfile.c, 9.0).
 *
 * @host sync
 * @for libvirt
 * @does syncs the directory of the persistent definitions; where the account may not read it, all file systems
 * @changes nothing
 * @as the account
 * @why a start after a power cut must find the image that the guest has written to
 */
export async function syncDefinitions(host: Host): Promise<void> {
  const answer = await host.run(script, [], { timeoutSeconds: syncSeconds });
  if (answer.exitStatus !== 0) throw unable(host, "sync", "the persistent definitions", answer);
}

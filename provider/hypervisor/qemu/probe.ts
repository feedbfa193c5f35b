/** Whether a guest's process may use a place. */

import { UserError } from "../../core/errors.js";
import type { Openness } from "../block-steps.js";
import type { Monitor } from "./monitor.js";
import { probeOptions } from "./node-options.js";
import { closeNodes } from "./open-nodes.js";
import { QmpRefusal } from "./refusal.js";

/** What is probed, and in which guest. */
export interface Probe {
  guest: string;
  node: string;
  path: string;
  cache: Openness["cache"];
}

/**
 * Opens the file for writing and closes it again.
 * @throws UserError with QEMU's words
 *
 * @host QMP blockdev-add
 * @for monitor
 * @does opens a probe file of ours and closes it again
 * @changes QEMU's block nodes, for a moment
 * @as QEMU, as the user that it runs as
 * @why a destination that the guest's QEMU cannot use is refused before anything is copied
 */
export async function probe(monitor: Monitor, { guest, node, path, cache }: Probe): Promise<void> {
  await closeNodes(monitor, [node]); // one that a run left which was killed in between
  try {
    await monitor.do("blockdev-add", probeOptions(node, path, cache));
  } catch (cause) {
    if (!(cause instanceof QmpRefusal)) throw cause;
    const advice = "Let QEMU's user write there; AppArmor, SELinux or a mount namespace of its own may forbid it too.";
    throw new UserError(`Unable to use ${path} from the guest ${guest}: its QEMU answers "${cause.words}". ${advice}`, { cause });
  }
  const [left] = await closeNodes(monitor, [node]);
  if (left) throw new UserError(`Unable to close the probe ${path} in the guest ${guest}: QEMU answers "${left.why}".`);
}

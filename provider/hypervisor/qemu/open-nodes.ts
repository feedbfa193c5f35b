/** The guest's open block nodes. */

import type { Monitor } from "./monitor.js";
import { QmpRefusal } from "./refusal.js";
import { nodes } from "./replies.js";

/**
 * In the order given. Those that are not there are no error; those that QEMU keeps are returned with its words.
 *
 * @host QMP blockdev-del
 * @for monitor
 * @does closes block nodes
 * @changes QEMU's block nodes
 * @as QEMU, as the user that it runs as
 * @why what the move has opened, and the former chain, are closed
 */
export async function closeNodes(monitor: Monitor, names: readonly string[]): Promise<readonly { node: string; why: string }[]> {
  const left: { node: string; why: string }[] = [];
  for (const node of names) {
    if (!(await isOpen(monitor, node))) continue;
    try {
      await monitor.do("blockdev-del", { "node-name": node });
    } catch (refusal) {
      if (!(refusal instanceof QmpRefusal)) throw refusal;
      if (await isOpen(monitor, node)) left.push({ node, why: refusal.words });
    }
  }
  return left;
}

/**
 * Nodes go with their parents, so the list is asked for again for each.
 *
 * @host QMP query-named-block-nodes
 * @for monitor
 * @does asks for the block nodes
 * @changes nothing
 * @as QEMU, as the user that it runs as
 * @why a node is closed only if it is there
 */
async function isOpen(monitor: Monitor, node: string): Promise<boolean> {
  const open = await monitor.ask("query-named-block-nodes", nodes, { flat: true });
  return open.some((each) => each["node-name"] === node);
}

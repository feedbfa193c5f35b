/** QEMU's block graph, as an administrator with a second monitor sees it. */

import { until } from "../sandbox/command.js";
import type { Operator } from "../sandbox/operator.js";

interface Graph {
  nodes: { id: number; type: string; name: string }[];
  edges: { parent: number; child: number }[];
}

/** Nodes that somebody named and that serve no device. */
export async function strayNodes(operator: Operator): Promise<string[]> {
  const { nodes, edges } = (await operator.execute("x-debug-query-block-graph")) as Graph;
  const reached = new Set<number>();
  const reach = (id: number): void => {
    if (reached.has(id)) return;
    reached.add(id);
    for (const { parent, child } of edges) if (parent === id) reach(child);
  };
  for (const { id, type } of nodes) if (type === "block-backend") reach(id);
  const stray = nodes.filter(({ id, type, name }) => type === "block-driver" && !reached.has(id) && !name.startsWith("#"));
  // parents first: a node that another one stands on cannot be closed
  const isBelow = (id: number) => edges.some(({ parent, child }) => child === id && stray.some((one) => one.id === parent));
  return [...stray.filter(({ id }) => !isBelow(id)), ...stray.filter(({ id }) => isBelow(id))].map(({ name }) => name);
}

export async function jobs(operator: Operator): Promise<string[]> {
  return ((await operator.execute("query-jobs")) as { id: string; status: string }[]).map(({ id, status }) => `${id} (${status})`);
}

/** Commits the active image of the only disk down into `base`, which takes the guest's writes from then on. */
export async function commitDown(operator: Operator, base: string): Promise<void> {
  const blocks = (await operator.execute("query-block")) as { inserted?: { "node-name": string } }[];
  const nodes = (await operator.execute("query-named-block-nodes", { flat: true })) as { "node-name": string; drv: string; file: string }[];
  const device = blocks.find(({ inserted }) => inserted !== undefined)?.inserted?.["node-name"];
  const below = nodes.find(({ drv, file }) => drv === "qcow2" && file === base)?.["node-name"];
  await operator.execute("block-commit", { "job-id": "shorten", device, "base-node": below });
  await operator.waitForJob("shorten", "ready");
  await operator.execute("job-complete", { id: "shorten" });
  const gone = async () => ((await jobs(operator)).length === 0 ? true : undefined);
  await until(30, gone, () => "The commit by hand does not end.");
}

/** The node of a layer of a live chain. */

import type { BlockGraph, GuestView, ImageView } from "./hypervisor.js";
import { HypervisorRefusal } from "./refusal.js";

/** The format node, whatever its name. Where a file is open twice, the graph alone tells which node is the chain's. Undefined: nothing tells. */
export async function layerNode(
  graph: Pick<BlockGraph, "layerNodes"> | undefined,
  { view, image }: { view: Pick<GuestView, "nodes">; image: ImageView },
  depth: number,
): Promise<string | undefined> {
  const layer = image.chain[depth];
  const [named, ...others] = view.nodes.filter(({ driver, file }) => driver === layer?.format && file === layer.path);
  if (named && others.length === 0) return named.name;
  const nodes = await graph?.layerNodes(image.activeNode).catch(orRefused);
  return nodes?.[depth];
}

/** QEMU may be told to refuse what begins with x-. */
function orRefused(thrown: unknown): undefined {
  if (!(thrown instanceof HypervisorRefusal)) throw thrown;
}

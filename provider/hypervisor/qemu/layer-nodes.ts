/** The nodes of a chain by the graph itself: file names do not tell which of two nodes it is where a file is open twice. */

import { isFilter } from "./active-node.js";
import type { GraphReply, NodeReply } from "./replies.js";

/** Node names of the layers from `top` down; filters are no layers. */
export function layerNodes(top: string, graph: GraphReply, nodes: readonly NodeReply[]): string[] {
  const driverOf = new Map(nodes.map((node) => [node["node-name"], node.drv]));
  const layers: string[] = [];
  const seen = new Set<number>();
  for (let at = graph.nodes.find(({ name }) => name === top); at && !seen.has(at.id); ) {
    seen.add(at.id);
    const { id, name } = at;
    const filter = isFilter(driverOf.get(name) ?? "");
    if (!filter) layers.push(name);
    const below = graph.edges.find((edge) => edge.parent === id && (edge.name === "backing" || (filter && edge.name === "file")));
    at = graph.nodes.find((node) => node.id === below?.child);
  }
  return layers;
}

/** The nodes of a chain by the graph itself: file names do not tell which of two nodes it is where a file is open twice. */

import type { LayerFile } from "../../core/disk/chain-options.js";
import { isFilter, layersOf } from "./active-node.js";
import { formatOf } from "./creation.js";
import { readFileName } from "./file-names.js";
import type { GraphReply, NodeReply } from "./replies.js";

/** Name and format of each layer from `top` down. A layer that is not a file of the host has the name that QEMU gives it. */
export function chainOf(top: string, nodes: readonly NodeReply[]): LayerFile[] {
  const found = nodes.find((node) => node["node-name"] === top);
  return (found ? layersOf(found.image) : []).map((image) => {
    const file = readFileName(image.filename);
    return { path: "path" in file ? file.path : image.filename, format: formatOf(image) };
  });
}

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

/** Filters above an image, and the node below them. */

import type { DriveReply, GraphReply, ImageReply, NodeReply } from "./replies.js";

/**
 * Drivers that pass on what lies below. Drivers with one child that is the guest's data, and no format of their own.
 * @see QEMU's BlockDriver.is_filter, 7.2 to 10.2; `mirror_top` and `commit_top` are the jobs' own
 */
export const filters: readonly string[] = [
  "throttle",
  "copy-on-read",
  "compress",
  "preallocate",
  "mirror_top",
  "commit_top",
  "backup-top",
  "copy-before-write",
  "blkdebug",
  "blkreplay",
  "blklogwrites",
];

export function isFilter(driver: string): boolean {
  return filters.includes(driver);
}

/** The images of a chain from the active one down; filters are no layers. */
export function layersOf(top: ImageReply): ImageReply[] {
  const layers: ImageReply[] = [];
  for (let image: ImageReply | undefined = top; image; image = image["backing-image"]) {
    if (!isFilter(image.format)) layers.push(image);
  }
  return layers;
}

/**
 * The nodes that can be the active image of a drive. `query-block` names only the root node, and what lies below a filter only by
 * driver and file name; both come from the same node as `query-named-block-nodes` has them (block/qapi.c: bdrv_block_device_info(),
 * QEMU 7.2), so the one node that has both is it. More than one means that a file is open twice.
 */
export function activeCandidates(drive: DriveReply, nodes: readonly NodeReply[]): readonly NodeReply[] {
  const root = drive.inserted;
  if (!root) return [];
  if (!isFilter(root.drv)) return nodes.filter((node) => node["node-name"] === root["node-name"]);
  const [active] = layersOf(root.image);
  return nodes.filter((node) => active && node.drv === active.format && node.file === active.filename);
}

/** The node below the filters, by the graph itself. */
export function activeByGraph(root: string, graph: GraphReply, nodes: readonly NodeReply[]): NodeReply | undefined {
  const driverOf = new Map(nodes.map((node) => [node["node-name"], node.drv]));
  let at = graph.nodes.find((node) => node.name === root);
  for (const seen = new Set<number>(); at && !seen.has(at.id) && isFilter(driverOf.get(at.name) ?? ""); ) {
    seen.add(at.id);
    const above = at.id;
    const edge = graph.edges.find((each) => each.parent === above && ["file", "backing", "image"].includes(each.name));
    at = graph.nodes.find((node) => node.id === edge?.child);
  }
  return nodes.find((node) => node["node-name"] === at?.name);
}

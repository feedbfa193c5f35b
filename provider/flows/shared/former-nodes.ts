/** Nodes that a move leaves behind: those of the chain that the guest stood on, by the names that they have in the QEMU that runs now. */

import { isOurName } from "../../core/disk/names.js";
import { UserError } from "../../core/errors.js";
import type { GuestView, ImageView } from "../../hypervisor/hypervisor.js";
import { layerNode } from "../../hypervisor/node-of-layer.js";
import type { Manifest } from "../../journal/manifest.js";
import type { Seen, SeenDisk, Site } from "./site.js";

/** Nodes of a chain that somebody named, format nodes before the protocol nodes that they stand on. QEMU's own go by themselves. */
export function namedNodes(view: GuestView, { chain }: Pick<ImageView, "chain">): string[] {
  const rank = new Map(chain.map(({ path }, index) => [path, index] as const));
  const isProtocol = (driver: string) => driver === "file" || driver === "host_device";
  return view.nodes
    .filter(({ name, file }) => !name.startsWith("#") && rank.has(file))
    .map(({ name, file, driver }) => ({ name, weight: 2 * (rank.get(file) ?? 0) + (isProtocol(driver) ? 1 : 0) }))
    .sort((a, b) => a.weight - b.weight)
    .map(({ name }) => name);
}

/** Whether the active image is a node of which looks tell: else its node's name says nothing about it. */
export function isToldOf(view: GuestView, { activeNode }: Pick<ImageView, "activeNode">): boolean {
  return view.nodes.some(({ name }) => name === activeNode);
}

/**
 * The manifest for a step that takes the active image away, with the names which that one has in a guest that was started again
 * during the move: its command line gave them, so they are none of ours. Undefined where there are none.
 */
export function withStrangeTop({ view }: Seen, { image }: SeenDisk, manifest: Manifest): Manifest | undefined {
  const strange = namedNodes(view, { chain: [image.chain[0]] }).filter((name) => !isOurName(name));
  const known = manifest.formerNodes.filter((name) => !strange.includes(name));
  return strange.length === 0 ? undefined : { ...manifest, formerNodes: [...strange, ...known] };
}

/** What can be closed: in a guest that was started since, the live chain may have the same names. */
export function closable({ view }: Seen, { image }: SeenDisk, { formerNodes }: Manifest): string[] {
  const live = namedNodes(view, image);
  return formerNodes.filter((name) => !live.includes(name));
}

/** The format node of a layer of the live chain. */
export async function nodeAt(
  { guest }: Pick<Site, "guest">,
  { view, disk }: { view: GuestView; disk: SeenDisk },
  depth: number,
): Promise<string> {
  const node = await layerNode(guest.graph, { view, image: disk.image }, depth);
  if (node === undefined)
    throw new UserError(
      `Unable to switch ${disk.disk} of ${guest.name}: QEMU does not tell which of its nodes ${disk.image.chain[depth]?.path} is. ` +
        "Nothing was switched. Close what else has that file open in it (`blockdev-del`), then run `pulumi up` again.",
    );
  return node;
}

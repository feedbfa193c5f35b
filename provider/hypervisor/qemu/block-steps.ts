/** Block steps of several commands, on the nodes of a block graph. */

import { jobNames, nodeNames } from "../../core/disk/names.js";
import type { Host } from "../../host/host.js";
import { toldBelow } from "../chain-names.js";
import type {
  ChainsView,
  CommitOptions,
  FreezingDisk,
  GraphGuest,
  Guest,
  GuestDisk,
  ImageView,
  LayerAt,
  MirrorOptions,
  MirrorTarget,
  PullOptions,
} from "../hypervisor.js";
import { layerNode } from "../node-of-layer.js";
import { checkOpenedChain, checkOpenedFile } from "../opened.js";
import { Unable } from "../unable.js";

interface Collapsing extends Pick<Guest, "lookAtChains">, Pick<GraphGuest, "graph"> {}

/** All are opened before the guest writes to any of them. */
export async function freeze(guest: GraphGuest, disks: readonly FreezingDisk[]): Promise<void> {
  for (const { overlay, cache, detectZeroes } of disks) {
    const { node, path, made } = overlay;
    await guest.graph.openOverlay(node, { path, format: "qcow2", cache, detectZeroes });
    await checkOpenedFile(guest, { node, path }, made);
  }
  await guest.graph.snapshot(disks.map(({ activeNode, overlay }) => ({ node: activeNode, overlay: overlay.node })));
}

/** The target and all that it stands on are opened and looked at; then its job begins. */
export async function mirror(
  { host, guest }: { host: Host; guest: GraphGuest },
  { disk: { key }, target }: { disk: GuestDisk; target: MirrorTarget },
  options: MirrorOptions,
): Promise<void> {
  const { node, chain, made, nodeBelow, cache, detectZeroes } = target;
  const [top, next] = chain;
  const { below } = await toldBelow(host, chain);
  if (nodeBelow !== undefined && next) {
    await guest.graph.openLayer(nodeBelow, { ...next, cache, detectZeroes, ...(below && { below: below.slice(1) }) });
    await guest.graph.openTarget(node, { ...top, cache, detectZeroes, backing: nodeBelow });
  } else await guest.graph.openTarget(node, { ...top, cache, detectZeroes, ...(below && { below }) });
  await checkOpenedChain({ host, guest }, node, chain);
  await checkOpenedFile(guest, { node, path: top.path }, made);
  await guest.graph.startMirror({ job: jobNames.mirror(key), target: node, filter: nodeNames.filter(key) }, options);
}

export async function commit(guest: Collapsing, { key }: GuestDisk, { top, base, maxBytesPerSecond }: CommitOptions): Promise<void> {
  const { node, root } = await layerOf(guest, top, base);
  await guest.graph.startCommit(jobNames.commit(key), nodeNames.filter(key), { root, top: top.node, base: node, maxBytesPerSecond });
}

export async function pull(
  guest: Collapsing,
  { key }: GuestDisk,
  { top, base, backingName, maxBytesPerSecond }: PullOptions,
): Promise<"as-asked"> {
  const kept = base && { base: (await layerOf(guest, top, base)).node, ...(backingName === undefined ? {} : { backingName }) };
  await guest.graph.startPull(jobNames.blockpull(key), nodeNames.filter(key), { top: top.node, ...kept, maxBytesPerSecond });
  return "as-asked";
}

/** The layer's node, and the one right under the device. @throws Unable if the chain is no longer as it was seen */
async function layerOf(guest: Collapsing, top: CommitOptions["top"], { depth, path }: LayerAt): Promise<{ node: string; root: string }> {
  const view = await guest.lookAtChains();
  const image = imageAt(view, top.node);
  if (image?.chain[0].path !== top.path || image.chain[depth]?.path !== path)
    throw new Unable(`${path} is no longer where it was in its chain`, "Run `pulumi up` again.");
  const node = await layerNode(guest.graph, { view, image }, depth);
  if (node !== undefined) return { node, root: image.rootNode };
  throw new Unable(`QEMU does not tell which of its nodes ${path} is`, "Restart the guest, then run `pulumi up` again.");
}

function imageAt({ disks }: Pick<ChainsView, "disks">, node: string): ImageView | undefined {
  return disks.flatMap(({ medium }) => (medium.kind === "image" ? [medium] : [])).find(({ activeNode }) => activeNode === node);
}

/** From QEMU's replies to the disks of a guest. Pure. */

import type { BackingChain, Layer } from "../../core/disk/chain.js";
import type { DiskView, ImageView } from "../hypervisor.js";
import { activeByGraph, activeCandidates, layersOf } from "./active-node.js";
import { creationOf, formatOf } from "./creation.js";
import { type FileName, readFileName } from "./file-names.js";
import type { DriveReply, GraphReply, ImageReply, NodeReply } from "./replies.js";

/** What was asked; `graph` only where {@link needsGraph} said so. */
export interface Replies {
  drives: readonly DriveReply[];
  nodes: readonly NodeReply[];
  graph?: GraphReply;
}

/** Whether the nodes alone do not tell what lies below some drive's filter: `x-debug-query-block-graph` does. */
export function needsGraph(replies: Replies): boolean {
  return replies.drives.some((drive) => activeCandidates(drive, replies.nodes).length > 1);
}

/** The devices of the guest; a drive that no device uses is none. */
export function viewDisks(replies: Replies): DiskView[] {
  return replies.drives.flatMap((drive) =>
    drive.qdev === undefined ? [] : [{ qdev: drive.qdev, names: namesOf(drive.qdev, drive.device), medium: mediumOf(drive, replies) }],
  );
}

/**
 * A device with an id is reported by it, one without by its QOM path; a virtio disk always by the path of its inner device, which has
 * no id (blk_get_attached_dev_id() in block/block-backend.c, QEMU 7.2).
 */
export function namesOf(qdev: string, driveId: string): string[] {
  const path = qdev.startsWith("/") ? qdev.replace(/\/virtio-backend$/, "") : `/machine/peripheral/${qdev}`;
  const id = /^\/machine\/peripheral\/([^/]+)$/.exec(path)?.[1];
  return [...new Set([qdev, path, id ?? "", driveId])].filter((name) => name !== "");
}

function mediumOf(drive: DriveReply, replies: Replies): DiskView["medium"] {
  const root = drive.inserted;
  if (!root) return { kind: "none" };
  const active = activeOf(drive, replies);
  if (!active) return { kind: "unsupported", why: `QEMU does not tell which image lies below its node ${root["node-name"]}` };
  const chain = chainOf(layersOf(root.image), replies.nodes);
  return "why" in chain
    ? { kind: "unsupported", why: chain.why }
    : { kind: "image", ...imageOf(root, active, chain.layers, replies.nodes) };
}

function activeOf(drive: DriveReply, { nodes, graph }: Replies): NodeReply | undefined {
  const candidates = activeCandidates(drive, nodes);
  if (candidates.length <= 1) return candidates[0];
  return graph && activeByGraph(drive.inserted?.["node-name"] ?? "", graph, nodes);
}

function imageOf(root: NodeReply, active: NodeReply, chain: BackingChain, nodes: readonly NodeReply[]): ImageView {
  const file = nodes.find((node) => node.drv === "file" && node.file === chain[0].path && node.ro === active.ro);
  const open = active["dirty-bitmaps"] ?? [];
  const persistent = [...(active.image["format-specific"]?.data?.bitmaps ?? []), ...open.filter((bitmap) => bitmap.persistent === true)];
  return {
    readOnly: root.ro || active.ro,
    rootNode: root["node-name"],
    activeNode: active["node-name"],
    chain,
    // -blockdev sets the cache on each node: O_DIRECT is the protocol node's, and either can leave out flushes (bdrv_co_flush(), QEMU 7.2).
    cache: {
      direct: (file ?? active).cache.direct,
      noFlush: active.cache["no-flush"] || file?.cache["no-flush"] === true,
    },
    detectZeroes: active.detect_zeroes,
    creation: creationOf(active.image),
    dirtyBitmaps: bitmapNames([...persistent, ...open]),
    persistentBitmaps: bitmapNames(persistent),
    internalSnapshots: (active.image.snapshots ?? []).map(({ name }) => name),
  };
}

/** Each once: a persistent one may be told of by the header and by the node. */
function bitmapNames(bitmaps: readonly { name?: string | undefined }[]): string[] {
  return [...new Set(bitmaps.flatMap(({ name }) => (name === undefined ? [] : [name])))];
}

function chainOf(images: readonly ImageReply[], nodes: readonly NodeReply[]): { layers: BackingChain } | { why: string } {
  const layers: Layer[] = [];
  for (const image of images) {
    const file = localFile(image, nodes);
    if ("why" in file) return { why: layers.length === 0 ? file.why : `of a layer below ${layers.at(-1)?.path}: ${file.why}` };
    layers.push(layerOf(image, file.path));
  }
  const [top, ...below] = layers;
  return top ? { layers: [top, ...below] } : { why: "there are only filters in the drive" };
}

/** Where the storage does not tell what a file takes (bdrv_query_image_info() in block/qapi.c, 7.2), it is counted as full. */
function layerOf(image: ImageReply, path: string): Layer {
  const backingName = image["backing-filename"];
  const backingFormat = image["backing-filename-format"];
  return {
    path,
    format: formatOf(image),
    virtualBytes: image["virtual-size"],
    allocatedBytes: image["actual-size"] ?? image["virtual-size"],
    ...(backingName === undefined ? {} : { backingName }),
    ...(backingFormat === undefined ? {} : { backingFormat }),
  };
}

function localFile(image: ImageReply, nodes: readonly NodeReply[]): FileName {
  if (image.encrypted || image.format === "luks") return { why: "it is encrypted" };
  if (!["qcow2", "raw"].includes(formatOf(image))) return { why: `its format is ${image.format}; only qcow2 and raw can be moved` };
  if (image["format-specific"]?.data?.["data-file"] !== undefined) return { why: "its content lies in an external data file" };
  const file = readFileName(image.filename);
  if ("why" in file || image.filename.startsWith("json:")) return file;
  const drivers = nodes.filter((node) => node.file === file.path).map((node) => node.drv);
  if (drivers.includes("file")) return file;
  const protocol = drivers.find((driver) => driver !== image.format) ?? "something unknown";
  return { why: `${file.path} lies on ${protocol}, which is no plain file` };
}

/** Disks of a test guest: their images, made with qemu-img and qemu-io, and how the command line names them. */

import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { run } from "./command.js";

const mebibyte = 1024 * 1024;

/** A stretch of an image that holds one byte over and over. */
export interface Fill {
  byte: number;
  fromMiB: number;
  lengthMiB: number;
}

export interface LayerOptions {
  /** File name. A file that is already there is taken as it is: so clones share a base. */
  file: string;
  /** @default "qcow2" */
  format?: "qcow2" | "raw";
  /** What it holds. Default: nothing. */
  fill?: Fill;
  /** How that is written. @default "plain" */
  clusters?: "plain" | "compressed";
  /** Default: the disk's `storage`. */
  folder?: string;
  /** How its header names the layer below. @default "relative" */
  backingName?: "relative" | "absolute";
  /** For `qemu-img create -o`. */
  creationOptions?: string;
}

export type Bus = "virtio-blk" | "virtio-scsi" | "nvme";

export interface DiskOptions {
  /** Device id. Default: `vda`, `vdb`, … by its place. */
  id?: string;
  /** The directory of its images. */
  storage: string;
  /** Base first. Default: {@link twoLayers}, for all but the first disk with the id before their names. */
  layers?: readonly LayerOptions[];
  /** @default 1024 */
  virtualMiB?: number;
  /** A link to `storage` by which the command line names the images. */
  through?: string;
  /** Of `nvme` one disk a guest: its kernel numbers several in any order. @default "virtio-blk" */
  bus?: Bus;
  /** The guest writes to the disk only if it may. @default "read-write" */
  access?: "read-write" | "read-only";
  /** `idle`: the guest may write to it, and does not. @default "records" */
  writes?: "records" | "idle";
  /** Copies what the guest reads from below into the active image: a filter node with style `blockdev`, a drive option with `drive`. @default "off" */
  copyOnRead?: "on" | "off";
  serial?: string;
  /** `none`: past the host's page cache, as oVirt and OpenStack start their guests. @default "writeback" */
  cache?: "writeback" | "none";
  /** A throttle with this limit: a filter node with style `blockdev`, drive options with `drive`. */
  maxBytesPerSecond?: number;
  /** @default "shared" (QEMU's main loop) */
  iothread?: "shared" | "own";
  /** More properties of the device, `name=value`. */
  deviceOptions?: readonly string[];
}

/** common (0x11) <- old (0x22 over a part); the guest's records lie over both. */
export const twoLayers = (prefix = ""): LayerOptions[] => [
  { file: `${prefix}common.qcow2`, fill: { byte: 0x11, fromMiB: 0, lengthMiB: 64 } },
  { file: `${prefix}old.qcow2`, fill: { byte: 0x22, fromMiB: 10, lengthMiB: 32 } },
];

/** base (0x11) <- middle (0x33 over a part) <- top (0x22 over another). */
export const threeLayers = (prefix = ""): LayerOptions[] => [
  { file: `${prefix}base.qcow2`, fill: { byte: 0x11, fromMiB: 0, lengthMiB: 64 } },
  { file: `${prefix}middle.qcow2`, fill: { byte: 0x33, fromMiB: 8, lengthMiB: 16 } },
  { file: `${prefix}top.qcow2`, fill: { byte: 0x22, fromMiB: 16, lengthMiB: 32 } },
];

/** The names of {@link twoLayers}, but little to copy and much to mirror: moved slowly, there is time on a busy machine to meet either. */
export const longMirror: LayerOptions[] = [
  { file: "common.qcow2", fill: { byte: 0x11, fromMiB: 0, lengthMiB: 16 } },
  { file: "old.qcow2", fill: { byte: 0x22, fromMiB: 10, lengthMiB: 80 } },
];

export const oneLayer = (file = "disk.qcow2"): LayerOptions[] => [{ file, fill: { byte: 0x11, fromMiB: 4, lengthMiB: 60 } }];

export const rawImage = (file = "disk.raw"): LayerOptions[] => [{ file, format: "raw", fill: { byte: 0x11, fromMiB: 4, lengthMiB: 60 } }];

/** So many layers, each over a part of the one below. */
export function chainOfLayers(count: number, prefix: string): LayerOptions[] {
  return Array.from({ length: count }, (_, index) => ({
    file: `${prefix}${index + 1}.qcow2`,
    fill: { byte: 0x11 + index, fromMiB: 2 * index, lengthMiB: 4 },
  }));
}

/** A disk with every default filled in. */
export interface Disk extends Required<Pick<DiskOptions, "id" | "storage" | "layers" | "bus" | "access" | "writes" | "iothread">> {
  options: DiskOptions;
  /** The name that the kernel in the guest gives it. */
  guestName: string;
  virtualBytes: number;
  /** Absolute paths, the active image first. */
  chain: readonly string[];
  /** Base first: a later one covers an earlier one. */
  fills: readonly Fill[];
}

/** Fills in the defaults of all disks of one guest. */
export function planDisks(all: readonly DiskOptions[]): Disk[] {
  const names = { "virtio-blk": 0, "virtio-scsi": 0, nvme: 0 };
  return all.map((options, index) => {
    const bus = options.bus ?? "virtio-blk";
    const id = options.id ?? `vd${letter(index)}`;
    const layers = options.layers ?? twoLayers(index === 0 ? "" : `${id}-`);
    const guestName = nameInGuest(bus, names[bus]++);
    return {
      ...{ id, guestName, bus, layers, options, storage: options.storage },
      access: options.access ?? "read-write",
      writes: options.writes ?? (options.access === "read-only" ? "idle" : "records"),
      iothread: options.iothread ?? "shared",
      virtualBytes: (options.virtualMiB ?? 1024) * mebibyte,
      chain: layers.map((layer) => path.join(layer.folder ?? options.storage, layer.file)).reverse(),
      fills: layers.flatMap((layer) => layer.fill ?? []),
    };
  });
}

function nameInGuest(bus: Bus, index: number): string {
  if (bus === "nvme") return `nvme${index}n1`;
  return `${bus === "virtio-blk" ? "vd" : "sd"}${letter(index)}`;
}

function letter(index: number): string {
  return String.fromCharCode("a".charCodeAt(0) + index);
}

/** Makes the images that are not there yet. */
export async function makeImages(disk: Disk): Promise<void> {
  let below: { path: string; format: string } | undefined;
  for (const layer of disk.layers) {
    const image = { path: path.join(layer.folder ?? disk.storage, layer.file), format: layer.format ?? "qcow2" };
    if (!existsSync(image.path)) await makeImage(image, layer, below, disk.virtualBytes);
    below = image;
  }
}

type Named = { path: string; format: string };

async function makeImage(image: Named, layer: LayerOptions, below: Named | undefined, virtualBytes: number): Promise<void> {
  const folder = path.dirname(image.path);
  await mkdir(folder, { recursive: true });
  const args = ["create", "-q", "-f", image.format];
  if (layer.creationOptions !== undefined) args.push("-o", layer.creationOptions);
  if (below !== undefined) {
    const name = layer.backingName === "absolute" ? below.path : path.relative(folder, below.path);
    args.push("-b", name, "-F", below.format);
  }
  await run("qemu-img", [...args, image.path, String(virtualBytes)]);
  if (layer.fill === undefined) return;
  const { byte, fromMiB, lengthMiB } = layer.fill;
  const how = layer.clusters === "compressed" ? "-c " : "";
  await run("qemu-io", ["-f", image.format, "-c", `write -q ${how}-P ${byte} ${fromMiB}M ${lengthMiB}M`, image.path]);
}

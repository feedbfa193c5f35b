/** The part of QEMU's command line that names the disks. */

import path from "node:path";
import type { Disk } from "./disks.js";

/** `blockdev`: every layer is a node of its own, as libvirt does it. `drive`: the active image only, QEMU finds the rest. */
export type Style = "blockdev" | "drive";

/** Instead of the images it was made with, a disk may boot from another active image: one with the format of the top layer, or an overlay of ours. */
export type OtherImages = Readonly<Record<string, string>>;

function formatOf(disk: Disk, other = ""): string | undefined {
  return /\.overlay(-\d+)?\.qcow2$/.test(other) ? "qcow2" : named(disk)[0]?.format;
}

export function diskArguments(disks: readonly Disk[], style: Style, others: OtherImages): string[] {
  return [...controllers(disks), ...disks.flatMap((disk) => oneDisk(disk, style, others[disk.id]))];
}

/** The same devices at the same places of their buses, without ids and serial numbers, and with nothing behind them. */
export function hollowDiskArguments(disks: readonly Disk[]): string[] {
  const hollow = disks.flatMap(({ bus, options }, index) => [
    ...blockdev({ driver: "null-co", "node-name": `nothing-${index}`, size: 2 ** 20, "read-zeroes": true }),
    ...["-device", [...drivers[bus], `drive=nothing-${index}`, ...(options.deviceOptions ?? [])].join(",")],
  ]);
  return [...controllers(disks), ...hollow];
}

function controllers(disks: readonly Disk[]): string[] {
  return disks.some((disk) => disk.bus === "virtio-scsi") ? ["-device", "virtio-scsi-pci,id=scsi0"] : [];
}

/**
 * Without polling: under TCG an iothread that polls a queue (7.2) takes what a booting guest has not filled in yet for a request, complains
 * of "zero sized buffers", and ends QEMU by an assertion, as it interrupts the guest without the big lock: 8 of 14 boots on busy cores, 0 of
 * 12 without.
 */
const iothread = (id: string) => ["-object", `iothread,id=${id},poll-max-ns=0`];

function oneDisk(disk: Disk, style: Style, other: string | undefined): string[] {
  const objects = disk.iothread === "own" ? iothread(`${disk.id}-io`) : [];
  const images = style === "drive" ? drive(disk, other) : blockdevs(disk, other);
  return [...objects, ...images.args, "-device", device(disk, images.root)];
}

interface Images {
  args: string[];
  /** What the device's `drive=` says. */
  root: string;
}

const drivers = { "virtio-blk": ["virtio-blk-pci"], "virtio-scsi": ["scsi-hd", "bus=scsi0.0"], nvme: ["nvme"] };

function device(disk: Disk, root: string): string {
  const parts = [...drivers[disk.bus], `drive=${root}`, `id=${disk.id}`];
  // an nvme device does not start without one
  const { serial = disk.bus === "nvme" ? disk.id : undefined } = disk.options;
  if (serial !== undefined) parts.push(`serial=${serial}`);
  if (disk.iothread === "own") parts.push(`iothread=${disk.id}-io`);
  return [...parts, ...(disk.options.deviceOptions ?? [])].join(",");
}

function drive(disk: Disk, other: string | undefined): Images {
  const file = (other ?? named(disk)[0]?.path ?? "").replaceAll(",", ",,");
  const parts = [`file=${file}`, `format=${formatOf(disk, other)}`, "if=none", `id=drive-${disk.id}`, "discard=unmap"];
  if (disk.access === "read-only") parts.push("read-only=on");
  if (disk.options.cache === "none") parts.push("cache=none");
  if (disk.options.copyOnRead === "on") parts.push("copy-on-read=on");
  if (disk.options.maxBytesPerSecond !== undefined) parts.push(`throttling.bps-total=${disk.options.maxBytesPerSecond}`);
  return { args: ["-drive", parts.join(",")], root: `drive-${disk.id}` };
}

function blockdevs(disk: Disk, other: string | undefined): Images {
  const layers =
    other === undefined ? named(disk) : [{ node: `${disk.id}-active`, path: other, format: formatOf(disk, other), backing: undefined }];
  const args = layers.toReversed().flatMap((layer) => {
    const readOnly = layer !== layers[0] || disk.access === "read-only";
    const common = { discard: "unmap", ...(disk.options.cache === "none" && { cache: { direct: true } }) };
    const file = { driver: "file", "node-name": `${layer.node}-file`, filename: layer.path, "auto-read-only": true, ...common };
    const format = { driver: layer.format, "node-name": layer.node, file: file["node-name"], "read-only": readOnly, ...common };
    return [...blockdev(file), ...blockdev(layer.backing === undefined ? format : { ...format, backing: layer.backing })];
  });
  return filters(disk).reduce<Images>(
    (below, { objects, ...filter }) => ({
      args: [...below.args, ...objects, ...blockdev({ ...filter, file: below.root })],
      root: filter["node-name"],
    }),
    { args, root: layers[0]?.node ?? "" },
  );
}

interface FilterNode {
  /** What it needs to be there before. */
  objects: string[];
  driver: string;
  "node-name": string;
  "throttle-group"?: string;
}

/** Above the active image, the lowest first. */
function filters({ id, options }: Disk): FilterNode[] {
  const found: FilterNode[] = [];
  if (options.copyOnRead === "on") found.push({ objects: [], driver: "copy-on-read", "node-name": `${id}-cor` });
  if (options.maxBytesPerSecond === undefined) return found;
  const group = `${id}-limits`;
  const objects = ["-object", `throttle-group,id=${group},x-bps-total=${options.maxBytesPerSecond}`];
  return [...found, { objects, driver: "throttle", "node-name": `${id}-throttle`, "throttle-group": group }];
}

function blockdev(options: Record<string, unknown>): string[] {
  return ["-blockdev", JSON.stringify(options)];
}

interface NamedLayer {
  node: string;
  path: string;
  format: string | undefined;
  /** The node below; null for none; undefined lets QEMU follow the header. */
  backing: string | null | undefined;
}

/** The layers, active one first, as the command line names them: through the link, where there is one. */
function named(disk: Disk): NamedLayer[] {
  const node = (file: string) => `${disk.id}-${path.parse(file).name}`.slice(0, 26);
  return disk.layers.toReversed().map((layer, index, layers) => {
    const folder = layer.folder ?? disk.options.through ?? disk.storage;
    const below = layers[index + 1];
    const format = layer.format ?? "qcow2";
    const backing = below === undefined ? (format === "raw" ? undefined : null) : node(below.file);
    return { node: node(layer.file), path: path.join(folder, layer.file), format, backing };
  });
}

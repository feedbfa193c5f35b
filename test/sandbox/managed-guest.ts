/** The writing guest of guest.ts, as a domain of libvirt's. */

import { chmod, copyFile, mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { escaped } from "../../provider/core/xml-text.js";
import { until } from "./command.js";
import { type Disk, type DiskOptions, makeImages, planDisks } from "./disks.js";
import type { GuestDisk } from "./guest.js";
import { guestInitramfs, kernelArguments } from "./initramfs.js";
import { guestKernel } from "./kernel.js";
import type { Libvirtd } from "./libvirtd.js";
import { SerialLog } from "./serial.js";

export interface ManagedGuestOptions {
  /** The domain's name, and that of its folder. */
  name?: string;
  /** Default: one disk of two layers in `<folder>/path1`. */
  disks?: (at: (...names: string[]) => string) => DiskOptions[];
  /** More of a disk's XML, by its id. */
  diskXml?: Readonly<Record<string, string>>;
  /** What the guest rests between two records. @default 40 */
  pauseMs?: number;
}

export class ManagedGuest {
  readonly disks: readonly GuestDisk[];
  readonly #serial: SerialLog;

  private constructor(
    private readonly libvirtd: Libvirtd,
    readonly name: string,
    /** Holds `path1`, `path2`, kernel and serial log. */
    readonly folder: string,
    disks: readonly Disk[],
    private readonly options: ManagedGuestOptions,
  ) {
    this.#serial = new SerialLog(path.join(folder, "serial.log"));
    this.disks = disks.map((disk) => ({
      ...disk,
      acknowledged: () => this.#serial.acknowledged(disk.guestName).map(({ sequence }) => sequence),
    }));
  }

  /** Makes the images, defines the domain, starts it, and waits until it writes. */
  static async start(libvirtd: Libvirtd, parent: string, options: ManagedGuestOptions = {}): Promise<ManagedGuest> {
    const name = options.name ?? "web";
    const folder = path.join(parent, name);
    for (const part of ["", "path1", "path2"]) await mkdir(path.join(folder, part), { recursive: true });
    await chmod(folder, 0o755);
    const at = (...names: string[]) => path.join(folder, ...names);
    const disks = planDisks(options.disks?.(at) ?? [{ storage: at("path1") }]);
    for (const disk of disks) await makeImages(disk);
    await copyFile((await guestKernel()).image, at("vmlinux"));
    await copyFile((await guestInitramfs()).file, at("initramfs"));
    const guest = new ManagedGuest(libvirtd, name, folder, disks, options);
    await guest.define();
    await guest.boot();
    return guest;
  }

  disk(id = "vda"): GuestDisk {
    const disk = this.disks.find((candidate) => candidate.id === id);
    if (disk === undefined) throw new Error(`The guest has no disk ${id}.`);
    return disk;
  }

  at(...names: string[]): string {
    return path.join(this.folder, ...names);
  }

  /** Defines the domain as the options say. */
  async define(): Promise<void> {
    await writeFile(this.at("domain.xml"), this.#xml());
    await this.libvirtd.virsh("define", this.at("domain.xml"));
  }

  /** `virsh start`, with whatever is defined now; record numbers go on. */
  async boot(): Promise<void> {
    await this.#tellFirst();
    const mark = this.#serial.mark();
    await this.libvirtd.virsh("start", this.name);
    await until(
      180, // on a busy machine
      () => (this.#serial.textSince(mark).includes("READY") ? true : undefined),
      () => `The guest did not come up: ${this.#serial.textSince(mark).slice(-500)}`,
    );
    await this.waitForRecords(1);
  }

  /** How long each record of the disk took, in the guest's own time, among those after number `after`. */
  writesMs(id = "vda", after = 0): number[] {
    const later = this.#serial.acknowledged(this.disk(id).guestName).filter((record) => record.sequence > after);
    return later.map((record) => record.durationMs);
  }

  /** As a power cut. */
  async destroy(): Promise<void> {
    await this.libvirtd.virsh("destroy", this.name);
  }

  state(): Promise<string> {
    return this.libvirtd.virsh("domstate", this.name).then((state) => state.trim());
  }

  /** Waits until every disk has so many more safe records than now. */
  async waitForRecords(more: number, deadlineSeconds = 60): Promise<void> {
    const goals = this.disks.map((disk) => ({ disk, goal: disk.acknowledged().length + more }));
    const reached = () => (goals.every(({ disk, goal }) => disk.acknowledged().length >= goal) ? true : undefined);
    await until(deadlineSeconds, reached, () => `The guest did not write ${more} more records within ${deadlineSeconds} s.`);
  }

  /** The kernel's command line is in the definition: records begin after the last safe one. Nothing else of it is changed. */
  async #tellFirst(): Promise<void> {
    const text = await this.libvirtd.virsh("dumpxml", "--inactive", this.name);
    const first = 1 + Math.max(0, ...this.disks.flatMap((disk) => disk.acknowledged()));
    const file = this.at("again.xml");
    await writeFile(file, text.replace(/livedisk\.first=\d+/, `livedisk.first=${first}`));
    await this.libvirtd.virsh("define", file);
  }

  #xml(): string {
    const append = kernelArguments({ disks: this.disks.map(({ guestName }) => guestName), first: 1, pauseMs: this.options.pauseMs });
    const boot = `<kernel>${this.at("vmlinux")}</kernel><initrd>${this.at("initramfs")}</initrd><cmdline>${append}</cmdline>`;
    const serial = `<serial type='file'><source path='${this.at("serial.log")}' append='on'/><target port='0'/></serial>`;
    return `<domain type='qemu'><name>${this.name}</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type>${boot}</os>
<devices>${this.disks.map((disk) => this.#diskXml(disk)).join("\n")}
${serial}<memballoon model='none'/></devices></domain>\n`;
  }

  #diskXml(disk: Disk): string {
    const format = disk.layers.at(-1)?.format ?? "qcow2";
    const more = this.options.diskXml?.[disk.id] ?? "";
    const cache = disk.options.cache === "none" ? " cache='none'" : "";
    return `<disk type='file' device='disk'><driver name='qemu' type='${format}' discard='unmap'${cache}/><source file='${escaped(disk.chain[0] ?? "")}'/><target dev='${disk.id}' bus='virtio'/>${more}</disk>`;
  }
}

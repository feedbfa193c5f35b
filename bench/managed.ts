/** The same disk as the others', of a guest that libvirt manages: the peer's side. */

import { rm, stat } from "node:fs/promises";
import { Libvirtd } from "../test/sandbox/libvirtd.js";
import { ManagedGuest } from "../test/sandbox/managed-guest.js";
import type { Sandbox } from "../test/sandbox/sandbox.js";
import { diskOf, filesOf, level, timed, writePauseMs } from "./disk.js";
import type { Size } from "./size.js";

export class Managed {
  private constructor(
    private readonly libvirtd: Libvirtd,
    private readonly guest: ManagedGuest,
  ) {}

  static async start(sandbox: Sandbox, size: Size): Promise<Managed> {
    const libvirtd = await Libvirtd.start(sandbox);
    const disks = (at: (...names: string[]) => string) => [diskOf(size, at("path1"))];
    return new Managed(libvirtd, await ManagedGuest.start(libvirtd, sandbox.folder, { name: "managed", disks, pauseMs: writePauseMs }));
  }

  /** The guest stands still from now on. */
  async suspend(): Promise<void> {
    await this.libvirtd.virsh("suspend", this.guest.name);
  }

  async resume(): Promise<void> {
    await this.libvirtd.virsh("resume", this.guest.name);
  }

  /** Of its chain now, the active one first. */
  private async files(): Promise<string[]> {
    return filesOf((await this.libvirtd.sourceOf(this.guest.name, "vda", "live")) ?? "");
  }

  /** A full copy, and the pivot onto it; the former files are gone afterwards. @returns how long that took, and each of the guest's writes meanwhile */
  async blockcopy(round: number): Promise<{ seconds: number; writesMs: number[] }> {
    const { libvirtd, guest } = this;
    const files = await this.files();
    await level(files);
    const last = guest.disk().acknowledged().at(-1) ?? 0;
    const flags = ["--format", "qcow2", "--transient-job", "--wait", "--pivot"];
    const copy = guest.at(`path2/copy-${round}.qcow2`);
    const seconds = await timed(() => libvirtd.virsh("blockcopy", guest.name, "vda", copy, ...flags));
    const writesMs = guest.writesMs("vda", last);
    for (const file of files) await rm(file);
    if ((await stat(copy)).size === 0) throw new Error("virsh blockcopy copied nothing.");
    return { seconds, writesMs };
  }
}

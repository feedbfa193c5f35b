/** A libvirtd of its own behind an sshd of its own, and tiny domains whose CPUs never start. */

import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { escaped } from "../../../provider/core/xml-text.js";
import { closeAllHosts } from "../../../provider/host/connection.js";
import type { Host } from "../../../provider/host/host.js";
import { hostArgs } from "../../../provider/host/target.js";
import type { Guest } from "../../../provider/hypervisor/hypervisor.js";
import { openGuest } from "../../../provider/hypervisor/libvirt/guest.js";
import { run } from "../../sandbox/command.js";
import { Libvirtd } from "../../sandbox/libvirtd.js";
import type { Sandbox } from "../../sandbox/sandbox.js";
import { VirshLog } from "../../sandbox/virsh-log.js";
import { connectHost } from "../../world.js";

export interface TinyOptions {
  /** Elements within `<devices>`; by default one disk vda of two layers. */
  devices?: string;
  start?: "paused" | "no";
}

export class Bench implements AsyncDisposable {
  private constructor(
    readonly sandbox: Sandbox,
    readonly libvirtd: Libvirtd,
    readonly host: Host,
    readonly virshLog: VirshLog,
  ) {}

  static async open(): Promise<Bench> {
    const { sandbox, virshLog } = await VirshLog.inSandbox();
    try {
      const libvirtd = await Libvirtd.start(sandbox);
      sandbox.defer(closeAllHosts);
      return new Bench(sandbox, libvirtd, await connectHost(hostArgs.parse(sandbox.host), {}), virshLog);
    } catch (reason) {
      await sandbox.dispose();
      throw reason;
    }
  }

  at(...names: string[]): string {
    return path.join(this.sandbox.folder, ...names);
  }

  async image(name: string, options: { backing?: string; format?: string; create?: string } = {}): Promise<string> {
    const file = this.at(name);
    await mkdir(path.dirname(file), { recursive: true });
    const { backing, format = "qcow2", create } = options;
    const below = backing === undefined ? [] : ["-b", backing, "-F", "qcow2"];
    await run("qemu-img", ["create", "-q", "-f", format, ...(create ? ["-o", create] : []), ...below, file, "8M"]);
    return file;
  }

  /** A definition without anything to run, started with its CPUs paused unless told otherwise. */
  async define(name: string, { devices, start = "paused" }: TinyOptions = {}): Promise<Guest> {
    const disks = devices ?? (await this.twoLayers(name));
    const xml = `<domain type='qemu'><name>${escaped(name)}</name><description>a\nerror: b</description><memory unit='MiB'>16</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os><devices>${disks}<memballoon model='none'/></devices></domain>`;
    const file = this.at("tiny.xml");
    await writeFile(file, xml);
    await this.libvirtd.virsh("define", file);
    if (start === "paused") await this.libvirtd.virsh("start", "--paused", "--domain", name);
    return this.guest(name);
  }

  guest(name: string): Guest {
    return openGuest(this.host, { libvirt: name, uri: this.libvirtd.uri });
  }

  async twoLayers(name: string): Promise<string> {
    await this.image(`${name}/base.qcow2`);
    return diskXml(await this.image(`${name}/top.qcow2`, { backing: "base.qcow2" }));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.sandbox.dispose();
  }
}

export function diskXml(file: string, { target = "vda", format = "qcow2", more = "", driver = "" } = {}): string {
  return `<disk type='file' device='disk'><driver name='qemu' type='${format}' ${driver}/><source file='${escaped(file)}'/><target dev='${target}' bus='virtio'/>${more}</disk>`;
}

/** A writing guest that libvirt manages, behind an sshd of its own, and lifecycles driven without an engine. */

import assert from "node:assert/strict";
import path from "node:path";
import type { Properties, Run } from "../../../provider/core/lifecycle.js";
import { closeAllHosts } from "../../../provider/host/connection.js";
import { storageMigration } from "../../../provider/resources/storage-migration/lifecycle.js";
import { chainOf, checkImage } from "../../sandbox/check.js";
import { type MountOptions, mountSmall } from "../../sandbox/file-systems.js";
import { Libvirtd, type LibvirtdOptions } from "../../sandbox/libvirtd.js";
import { ManagedGuest, type ManagedGuestOptions } from "../../sandbox/managed-guest.js";
import type { Sandbox } from "../../sandbox/sandbox.js";
import { VirshLog } from "../../sandbox/virsh-log.js";
import { created, type Move, Recorder } from "../../storage-migration/stage.js";
import { unsafeIn } from "./sent.js";

export interface LibvirtStageOptions extends ManagedGuestOptions, LibvirtdOptions {
  /** What the guest's folder, with both storages, lies on. @default the machine's own */
  fileSystem?: MountOptions["kind"];
  /** Whether the account finds the definitions. @default "hidden" */
  definitions?: "hidden" | "seen";
  /** Done before libvirtd starts. */
  prepare?: (sandbox: Sandbox) => Promise<unknown>;
}

export class LibvirtStage implements AsyncDisposable {
  /** Disks whose images have no backing file. */
  standOnNothing: readonly string[] = [];

  private constructor(
    readonly sandbox: Sandbox,
    readonly libvirtd: Libvirtd,
    readonly guest: ManagedGuest,
    readonly virshLog: VirshLog,
  ) {}

  static async open(options: LibvirtStageOptions = {}): Promise<LibvirtStage> {
    const { sandbox, virshLog } = await VirshLog.inSandbox(options.definitions);
    const { name = "web", fileSystem } = options;
    try {
      if (fileSystem) await mountSmall(sandbox, path.join(sandbox.folder, name), { kind: fileSystem, sizeMiB: 600 });
      await options.prepare?.(sandbox);
      const libvirtd = await Libvirtd.start(sandbox, options);
      return new LibvirtStage(sandbox, libvirtd, await ManagedGuest.start(libvirtd, sandbox.folder, options), virshLog);
    } catch (reason) {
      await sandbox.dispose();
      throw reason;
    }
  }

  at(...names: string[]): string {
    return this.guest.at(...names);
  }

  get domain(): Properties {
    return { libvirt: this.guest.name, uri: this.libvirtd.uri };
  }

  get arguments(): Properties {
    return { host: this.sandbox.host, domain: this.domain, disks: ["vda"], destination: this.at("path2") };
  }

  /** A whole create. */
  async moves(different: Properties = {}, run: Run = new Recorder()): Promise<Record<string, Move>> {
    const { outputs } = await created(storageMigration, { ...this.arguments, ...different }, run);
    return outputs.moves as Record<string, Move>;
  }

  /** Where the disk is now, by libvirt's own word, and where it starts next. */
  async places(disk = "vda"): Promise<{ live: string | undefined; inactive: string | undefined }> {
    const { name } = this.guest;
    const running = (await this.guest.state()) !== "shut off";
    return {
      live: running ? await this.libvirtd.sourceOf(name, disk, "live") : undefined,
      inactive: await this.libvirtd.sourceOf(name, disk, "inactive"),
    };
  }

  /** The guest writes on, is destroyed and started by its definition: it runs from `active`, and every record is there. */
  async survivesRestart(active: string, disk = "vda"): Promise<void> {
    await this.guest.waitForRecords(10);
    await this.guest.destroy();
    await this.holdsAll(active, disk);
    await this.guest.boot();
    assert.deepEqual(await this.places(disk), { live: active, inactive: active });
    await this.guest.destroy();
    await this.holdsAll(active, disk);
  }

  /** 0 lost, 0 corrupt. The guest must have ended. */
  async holdsAll(image: string, disk = "vda"): Promise<void> {
    const { acknowledged, lost, corrupt } = await checkImage(image, this.guest.disk(disk));
    console.log(
      `      ${path.basename(path.dirname(image))}/${path.basename(image)}: ${acknowledged} records, ${lost.length} lost, ${corrupt.length} corrupt`,
    );
    assert.deepEqual({ lost, corrupt }, { lost: [], corrupt: [] });
  }

  async chainOf(image: string): Promise<string[]> {
    return (await chainOf(image)).map((link) => link.path);
  }

  /** Whatever a scenario was about: nothing that loses data was ever sent, and the guest never ended by itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    await closeAllHosts();
    try {
      const unsafe = unsafeIn(await this.virshLog.everSent(), this.standOnNothing);
      assert.deepEqual({ unsafe, crashes: await this.libvirtd.crashesOf(this.guest.name) }, { unsafe: [], crashes: 0 });
    } finally {
      await this.sandbox.dispose();
    }
  }
}

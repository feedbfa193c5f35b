/** A real QEMU without a guest in it: its CPUs never start, so it costs nothing. */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import type { Guest } from "../../../provider/hypervisor/hypervisor.js";
import { openGuest } from "../../../provider/hypervisor/qemu/guest.js";
import { run, until } from "../../sandbox/command.js";
import { makeFolder } from "../../sandbox/folders.js";
import { mourn, watchOver } from "../../sandbox/processes.js";
import { qemuCommand } from "../../sandbox/qemu.js";
import { LocalHost } from "./local-host.js";

/** A folder for images and guests, gone at the end of the scope. */
export class Workbench implements AsyncDisposable {
  readonly #undo: (() => unknown)[] = [];

  private constructor(readonly folder: string) {}

  static async create(): Promise<Workbench> {
    const folder = await makeFolder("livedisk-qemu-");
    const bench = new Workbench(folder.path);
    bench.defer(folder.remove);
    return bench;
  }

  defer(undo: () => unknown): void {
    this.#undo.push(undo);
  }

  /** A path in the folder. */
  at(name: string): string {
    return path.join(this.folder, name);
  }

  /** Makes an image; a `backing` is named in its header as it is given here. */
  async image(name: string, options: { format?: string; size?: string; backing?: string; create?: string[] } = {}): Promise<string> {
    const { format = "qcow2", size = "8M", backing, create = [] } = options;
    const below = backing === undefined ? [] : ["-b", backing, "-F", "qcow2"];
    await run("qemu-img", ["create", "-q", "-f", format, ...create.flatMap((each) => ["-o", each]), ...below, this.at(name), size]);
    return this.at(name);
  }

  /** Writes a pattern with qemu-io: `write -P 0x11 0 1M`. */
  async io(name: string, command: string, format = "qcow2"): Promise<void> {
    await run("qemu-io", ["-f", format, "-c", command, this.at(name)]);
  }

  async start(args: readonly string[], options: { folder?: string; socket?: string; chardev?: string } = {}): Promise<BareGuest> {
    const socket = path.resolve(options.folder ?? this.folder, options.socket ?? "qmp.sock");
    const monitor = options.chardev ? [] : ["-qmp", `unix:${options.socket ?? socket},server=on,wait=off`];
    const machine = ["-M", "q35,accel=tcg", "-m", "64", "-nodefaults", "-display", "none", "-S"];
    const [program = "", ...before] = qemuCommand();
    const child = spawn(program, [...before, ...machine, ...monitor, ...args], {
      cwd: options.folder ?? this.folder,
      stdio: ["ignore", "ignore", "pipe"],
    });
    const guest = new BareGuest(watchOver(child, "a QEMU without a guest"), socket);
    this.defer(() => guest.kill());
    await guest.listening();
    return guest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const undo of this.#undo.splice(0).reverse()) await undo();
  }
}

export class BareGuest {
  readonly host = new LocalHost();
  readonly guest: Guest;
  #said = "";

  constructor(
    readonly child: ChildProcess,
    readonly socket: string,
  ) {
    this.guest = openGuest(this.host, { qmp: socket });
    child.stderr?.on("data", (chunk: Buffer) => {
      this.#said += chunk.toString();
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  async listening(): Promise<void> {
    await until(
      60,
      () => {
        if (this.child.exitCode !== null) throw new Error(`QEMU ended: ${this.#said}`);
        return existsSync(this.socket) || undefined;
      },
      () => `QEMU does not listen: ${this.#said}`,
    );
  }

  async kill(): Promise<void> {
    this.guest.close();
    await mourn(this.child, "SIGKILL");
  }
}

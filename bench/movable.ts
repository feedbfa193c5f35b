/** A plain guest with the benchmarks' disk, which is moved by us and by hand. */

import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import type { Properties } from "../provider/core/lifecycle.js";
import { storageMigration } from "../provider/resources/storage-migration/lifecycle.js";
import { Operator } from "../test/sandbox/operator.js";
import type { Sandbox } from "../test/sandbox/sandbox.js";
import { created, Recorder } from "../test/storage-migration/stage.js";
import { fiveSteps } from "./by-hand.js";
import { diskOf, filesOf, level, timed, virtualMiB, writePauseMs } from "./disk.js";
import type { Size } from "./size.js";

/** Its disk goes from one folder to the next; what is left behind is removed in between. */
export class Movable {
  private number = 0;

  private constructor(
    private readonly sandbox: Sandbox,
    private readonly name: string,
    private readonly operator: Operator,
    private readonly monitor: string,
    private readonly virtualBytes: number,
  ) {}

  static async start(sandbox: Sandbox, name: string, size: Size): Promise<Movable> {
    const disk = diskOf(size, path.join(sandbox.folder, name, "path1"));
    const guest = await sandbox.startGuest({ name, disks: [disk], pauseMs: writePauseMs });
    const operator = await Operator.connect(guest.operatorSocket);
    sandbox.defer(() => operator.close());
    return new Movable(sandbox, name, operator, guest.qmpSocket, virtualMiB[size] * 2 ** 20);
  }

  /** The guest stands still from now on. */
  async suspend(): Promise<void> {
    await this.operator.execute("stop");
  }

  async resume(): Promise<void> {
    await this.operator.execute("cont");
  }

  /** Of its chain now, the active one first. */
  async files(): Promise<string[]> {
    return filesOf(await this.operator.activeImage("vda"));
  }

  /** @returns `seconds` of the move, by its own clock */
  async moved(options: Properties): Promise<number> {
    const files = await this.files();
    await level(files);
    const destination = await this.nextFolder();
    const args = { host: this.sandbox.host, domain: { qmp: this.monitor }, disks: ["vda"], destination, ...options };
    const { outputs } = await created(storageMigration, args, new Recorder());
    await rm(path.dirname(files[0] ?? ""), { recursive: true });
    return (outputs.moves as Record<string, { seconds: number }>).vda?.seconds ?? Number.NaN;
  }

  async byHand(number: number): Promise<number> {
    const chain = await this.files();
    await level(chain);
    const destination = await this.nextFolder();
    const active = await this.operator.activeNode("vda");
    const { operator, virtualBytes } = this;
    const seconds = await timed(() => fiveSteps({ operator, chain, destination, virtualBytes, active, number }));
    await rm(path.dirname(chain[0] ?? ""), { recursive: true });
    return seconds;
  }

  private async nextFolder(): Promise<string> {
    const folder = path.join(this.sandbox.folder, this.name, `to-${++this.number}`);
    await mkdir(folder);
    return folder;
  }
}

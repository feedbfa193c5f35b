/** A switch whose renames take time each, so that it can be looked at, and cut, in between. */

import { type ChildProcess, spawn } from "node:child_process";
import { readdir, readFile, symlink } from "node:fs/promises";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { until } from "../sandbox/command.js";
import { currentIn, furthestIn } from "../sandbox/current.js";
import { oneLayer, rawImage } from "../sandbox/disks.js";
import { killQuietly, mourn, watchOver } from "../sandbox/processes.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { Recorder, Stage } from "../storage-migration/stage.js";

export const image = "disk.img";

const calls = { renames: "rename,renameat,renameat2", syncs: "fsync,fdatasync,syncfs,sync" };

/** Every such call of these processes, and of those that they start, takes a second and a half longer. */
async function slowDown(pids: readonly number[], names: string): Promise<ChildProcess> {
  const processes = pids.flatMap((pid) => ["-p", String(pid)]);
  const inject = ["-e", `trace=${names}`, "-e", `inject=${names}:delay_enter=1500000`];
  const strace = watchOver(
    spawn("strace", ["-f", "-o", "/dev/null", ...inject, ...processes], { stdio: ["ignore", "ignore", "pipe"] }),
    "strace",
  );
  let said = "";
  strace.stderr?.on("data", (piece: Buffer) => {
    said += piece.toString();
  });
  const isAttached = () => (said.split("attached").length > pids.length ? true : undefined);
  await until(20, isAttached, () => `strace did not attach: ${said}`);
  return strace;
}

export class SlowSwitch implements AsyncDisposable {
  private strace: ChildProcess | undefined;

  private constructor(
    readonly stage: Stage,
    readonly proxy: QmpProxy,
    private readonly link: string | undefined,
  ) {}

  static async set(through: "link" | "name", format: "qcow2" | "raw" = "qcow2"): Promise<SlowSwitch> {
    const layers = format === "raw" ? rawImage(image) : oneLayer(image);
    const stage = await Stage.open({
      disks: async (at) => {
        await symlink(at("path1"), at("link"));
        return [{ storage: at("path1"), layers, ...(through === "link" && { through: at("link") }) }];
      },
    });
    return SlowSwitch.of(stage, through === "link" ? stage.at("link") : undefined);
  }

  /** @param link by which the guest finds its disk, or undefined: by its name */
  static async of(stage: Stage, link: string | undefined): Promise<SlowSwitch> {
    return new SlowSwitch(stage, await QmpProxy.listen(stage.at("proxy.sock"), stage.guest.qmpSocket), link);
  }

  moves() {
    const link = this.link === undefined ? {} : { link: this.link };
    return this.stage.moves({ ...link, domain: { qmp: this.proxy.path } });
  }

  /** The next `up` of a move that is half way, by the guest's own socket: the proxy's takes connections even of a guest that is gone. */
  async movesOn(halfWay: unknown): Promise<void> {
    if (!(halfWay instanceof Unfinished)) throw new Error(`The move did not stop half way: ${String(halfWay)}`);
    const inputs = { ...halfWay.outputs, domain: { qmp: this.stage.guest.qmpSocket } };
    await storageMigration.update("id", halfWay.outputs, inputs, new Recorder());
  }

  /** From the moment that the job is pending on. */
  slowFromPending(what: "renames" | "syncs" = "renames"): void {
    this.atPending(async () => {
      this.strace ??= await slowDown(await this.stage.sandbox.sshd.servedPids(), calls[what]);
    });
  }

  /** Once, when the job is pending and nothing is written down. */
  atPending(act: () => Promise<void>): void {
    let acted: Promise<void> | undefined;
    const hold = async () => {
      if (acted) return "forward" as const;
      const [job] = (await this.stage.operator.execute("query-jobs")) as { id: string }[];
      if (job) await this.stage.operator.waitForJob(job.id, "pending");
      acted ??= act();
      await acted;
      return "forward" as const;
    };
    this.proxy.before("job-complete", () => {
      for (const question of ["query-jobs", "query-block-jobs"]) this.proxy.before(question, hold);
      return "forward";
    });
  }

  /** Whether that moment has come. */
  get isSlow(): boolean {
    return this.strace !== undefined;
  }

  /** What the manifests say, each once. @param of which of the images that they may name */
  async currents(of: (text: string) => string | Promise<string> = currentIn): Promise<string[]> {
    const texts: string[] = [];
    for (const side of ["path1", "path2"])
      for (const name of (await readdir(this.stage.at(side))).filter((each) => each.endsWith(".manifest.json")))
        texts.push(await of(await readFile(this.stage.at(side, name), "utf8")));
    return [...new Set(texts)];
  }

  /** In every manifest: what is current in the end. */
  async isWrittenDown(): Promise<boolean> {
    const named = await this.currents(furthestIn);
    return named.length === 1 && named[0]?.includes("/path2/") === true;
  }

  /** The power goes: the host's program with all that it has begun, and QEMU. */
  async cutPower(): Promise<void> {
    await this.killProgram();
    await this.stage.operator.close();
    await this.stage.guest.kill();
  }

  async killProgram(): Promise<void> {
    for (const pid of await this.stage.sandbox.sshd.servedPids()) killQuietly(pid);
  }

  /** Dies as soon as the first manifest names the destination, and is started until it runs, or the switch is over and its image gone. */
  async dieAndStart(over: Promise<unknown>): Promise<"running" | "stopped"> {
    const isWritten = async () => (await this.currents(furthestIn)).some((current) => current.includes("/path2/")) || undefined;
    await until(60, isWritten, () => "The switch was never written down.");
    await this.stage.operator.close();
    await this.stage.guest.kill();
    let isOver = false;
    over.finally(() => {
      isOver = true;
    });
    for (;;) {
      const wasOver = isOver;
      const failure: unknown = await this.stage.boot().catch((reason: unknown) => reason);
      if (failure === undefined) return "running";
      if (wasOver) return "stopped";
    }
  }

  async atFullSpeed(): Promise<void> {
    await mourn(this.strace, "SIGTERM");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.atFullSpeed();
    await this.proxy.close();
    await this.stage[Symbol.asyncDispose]();
  }
}

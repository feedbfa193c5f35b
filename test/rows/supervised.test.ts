/**
 * QEMU ends in the middle of a switch, while storage takes seconds for each rename, and a supervisor starts it again at once by the same
 * command line. A boot, `current` and the QEMU that runs then must agree.
 */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readdir, readFile, readlink, realpath, symlink } from "node:fs/promises";
import path from "node:path";
import { until } from "../sandbox/command.js";
import { oneLayer } from "../sandbox/disks.js";
import { mourn, watchOver } from "../sandbox/processes.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { Stage } from "../storage-migration/stage.js";

const image = "disk.qcow2";

/** Every rename of these processes, and of those that they start, takes a second and a half. */
async function slowDown(pids: readonly number[]): Promise<ChildProcess> {
  const calls = "rename,renameat,renameat2";
  const processes = pids.flatMap((pid) => ["-p", String(pid)]);
  const inject = ["-e", `trace=${calls}`, "-e", `inject=${calls}:delay_enter=1500000`];
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

class Scene implements AsyncDisposable {
  private strace: ChildProcess | undefined;

  private constructor(
    readonly stage: Stage,
    readonly proxy: QmpProxy,
    private readonly through: "link" | "name",
  ) {}

  static async set(through: "link" | "name"): Promise<Scene> {
    const stage = await Stage.open({
      disks: async (at) => {
        await symlink(at("path1"), at("link"));
        return [{ storage: at("path1"), layers: oneLayer(image), ...(through === "link" && { through: at("link") }) }];
      },
    });
    return new Scene(stage, await QmpProxy.listen(stage.at("proxy.sock"), stage.guest.qmpSocket), through);
  }

  moves() {
    const link = this.through === "link" ? { link: this.stage.at("link") } : {};
    return this.stage.moves({ ...link, domain: { qmp: this.proxy.path } });
  }

  /** From the moment that the job is pending on. */
  slowFromPending(): void {
    const slow = async () => {
      const [job] = (await this.stage.operator.execute("query-jobs")) as { id: string }[];
      if (job) await this.stage.operator.waitForJob(job.id, "pending");
      this.strace ??= await slowDown(await this.stage.sandbox.sshd.servedPids());
      return "forward" as const;
    };
    this.proxy.before("job-complete", () => {
      for (const question of ["query-jobs", "query-block-jobs"]) this.proxy.before(question, slow);
      return "forward";
    });
  }

  /** What the manifests say, each once. */
  async currents(): Promise<string[]> {
    const texts: string[] = [];
    for (const side of ["path1", "path2"])
      for (const name of (await readdir(this.stage.at(side))).filter((each) => each.endsWith(".manifest.json")))
        texts.push(JSON.parse(await readFile(this.stage.at(side, name), "utf8")).current);
    return [...new Set(texts)];
  }

  /** Dies as soon as the first manifest names the destination, and is started until it runs, or the switch is over and its image gone. */
  async dieAndStart(over: Promise<unknown>): Promise<"running" | "stopped"> {
    const isWritten = async () => (await this.currents()).some((current) => current.includes("/path2/")) || undefined;
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

describe("a guest whose QEMU ends in a slow switch and is started again at once", function () {
  this.timeout(300_000);

  for (const through of ["link", "name"] as const)
    it(`through its ${through} runs, by its own or when it is started from \`current\`, on what the manifests name, and loses nothing`, async () => {
      await using scene = await Scene.set(through);
      const { stage } = scene;
      scene.slowFromPending();
      const over = scene.moves().catch((thrown: unknown) => thrown);
      const state = await scene.dieAndStart(over);
      await over;
      await scene.atFullSpeed();
      const currents = await scene.currents();
      assert.equal(currents.length, 1, currents.join(", "));
      const [current = ""] = currents;
      if (state === "running") assert.equal(await realpath(await stage.operator.activeImage("vda")), current);
      else await stage.boot({ vda: current });
      if (through === "link") assert.equal(await readlink(stage.at("link")), path.dirname(current));
      await stage.guest.waitForRecords(5);
      const { vda } = await scene.moves();
      assert.equal(vda?.phase, "settled");
      await stage.guest.waitForRecords(5);
      await stage.guest.stop();
      await stage.holdsAll(stage.at("path2", image));
    });
});

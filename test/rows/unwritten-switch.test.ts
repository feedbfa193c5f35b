/**
 * A run that was cut in the switch, when every job is `pending` and the switch is not written down, or not everywhere: both sides hold the
 * same, the guest's I/O waits, and nobody on the host ends that. The guest goes on where it was.
 */

import assert from "node:assert/strict";
import { readdir, readFile, readlink, rename, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { run } from "../sandbox/command.js";
import { oneLayer, rawImage } from "../sandbox/disks.js";
import { killQuietly } from "../sandbox/processes.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { Recorder, Stage, stopAt } from "../storage-migration/stage.js";

const images = { vda: "disk.raw", vdb: "data.qcow2" };
const disks = Object.keys(images) as (keyof typeof images)[];

interface Job {
  id: string;
  status: string;
}

/** Two disks that are named through a link, on the way to path2. */
class Scene implements AsyncDisposable {
  private constructor(readonly stage: Stage) {}

  static async set(): Promise<Scene> {
    const stage = await Stage.open({
      disks: async (at) => {
        await symlink(at("path1"), at("link"));
        const named = { storage: at("path1"), through: at("link"), virtualMiB: 128 };
        return [
          { ...named, layers: rawImage(images.vda) },
          { ...named, layers: oneLayer(images.vdb) },
        ];
      },
    });
    await run("mkdir", ["-p", stage.at("path2")]);
    return new Scene(stage);
  }

  get settings() {
    return { disks, link: this.stage.at("link") };
  }

  /** A run that was asked to stop in its mirrors, which then came to their end without it. @returns its state */
  async isPending(): Promise<Record<string, unknown>> {
    const { stage } = this;
    const stopped: unknown = await stopAt("mirroring", stage, { ...this.settings, maxBytesPerSecond: 16 << 20 }).catch((thrown) => thrown);
    assert(stopped instanceof Unfinished, String(stopped));
    const jobs = (await stage.operator.execute("query-jobs")) as Job[];
    assert.equal(jobs.length, disks.length);
    for (const { id } of jobs) {
      await stage.operator.execute("block-job-set-speed", { device: id, speed: 0 });
      await stage.operator.waitForJob(id, "ready");
    }
    for (const { id } of jobs) await stage.operator.execute("job-complete", { id });
    for (const { id } of jobs) await stage.operator.waitForJob(id, "pending");
    return stopped.outputs;
  }

  /** As the switch writes it: the target is what it is in `pending`. */
  async writeDown(disk: keyof typeof images, sides: readonly ("path1" | "path2")[]): Promise<void> {
    for (const side of sides) {
      for (const name of (await readdir(this.stage.at(side))).filter((file) => file.endsWith(".manifest.json"))) {
        const manifest = JSON.parse(await readFile(this.stage.at(side, name), "utf8"));
        if (manifest.disk !== disk) continue;
        const { target } = manifest.destination;
        const [dev, ino, size, modified] = (await run("stat", ["-c", "%d %i %s %.9Y", target])).trim().split(" ");
        const switched = { dev, ino, sizeBytes: Number(size), modified };
        await writeFile(this.stage.at(side, name), JSON.stringify({ ...manifest, current: target, switched }));
      }
    }
  }

  async pointLink(): Promise<void> {
    await symlink(this.stage.at("path2"), this.stage.at("next"));
    await rename(this.stage.at("next"), this.stage.at("link"));
  }

  /** How the jobs that were pending have ended. */
  ends(): string[] {
    const ended = this.stage.operator.events.filter(({ event }) => /^BLOCK_JOB_(CANCELLED|COMPLETED)$/.test(event ?? ""));
    return ended.slice(0, disks.length).map(({ event = "" }) => event);
  }

  /** The guest writes on, its power is cut, it starts by the same command line, writes on, and every record of both disks is there. */
  async isAt(place: "path1" | "path2"): Promise<void> {
    const { stage } = this;
    assert.equal(await readlink(stage.at("link")), stage.at(place));
    await stage.guest.waitForRecords(10);
    for (const disk of disks) assert.equal(path.basename(await stage.operator.activeImage(disk)), images[disk]);
    await stage.reboot();
    await stage.guest.waitForRecords(5);
    await stage.guest.stop();
    for (const disk of disks) await stage.holdsAll(stage.at(place, images[disk]), disk);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stage[Symbol.asyncDispose]();
  }
}

describe("a switch that was cut while its jobs were pending", function () {
  this.timeout(180_000);

  it("with nothing written down is called off by the next up, which then moves the disks", async () => {
    await using scene = await Scene.set();
    const { stage } = scene;
    const socket = stage.at("proxy.sock");
    const settings = { ...scene.settings, domain: { qmp: socket } };
    await using proxy = await QmpProxy.listen(socket, stage.guest.qmpSocket);
    const killServed = async () => {
      for (const { id } of (await stage.operator.execute("query-jobs")) as Job[]) await stage.operator.waitForJob(id, "pending");
      for (const pid of await stage.sandbox.sshd.servedPids()) killQuietly(pid);
      return "cut" as const;
    };
    proxy.before("job-complete", () => {
      for (const question of ["query-jobs", "query-block-jobs"]) proxy.before(question, killServed);
      return "forward";
    });
    await assert.rejects(stage.moves(settings), Unfinished);
    const jobs = (await stage.operator.execute("query-jobs")) as Job[];
    assert.deepEqual(
      jobs.map(({ status }) => status),
      ["pending", "pending"],
    );
    const moves = await stage.moves(settings);
    assert.deepEqual(scene.ends(), ["BLOCK_JOB_CANCELLED", "BLOCK_JOB_CANCELLED"]);
    assert.deepEqual(
      Object.values(moves).map(({ phase }) => phase),
      ["settled", "settled"],
    );
    await scene.isAt("path2");
  });

  for (const [what, write] of [
    ["with nothing written down", async () => undefined],
    [
      "with the link re-pointed, and one of the two manifests of each disk written,",
      async (scene: Scene) => {
        await scene.writeDown("vda", ["path1"]);
        await scene.writeDown("vdb", ["path2"]);
        await scene.pointLink();
      },
    ],
  ] as const) {
    it(`${what} is undone by destroy`, async () => {
      await using scene = await Scene.set();
      const { stage } = scene;
      const outputs = await scene.isPending();
      await write(scene);
      await storageMigration.delete("id", outputs, new Recorder());
      assert.deepEqual(scene.ends(), ["BLOCK_JOB_CANCELLED", "BLOCK_JOB_CANCELLED"]);
      assert.deepEqual(await readdir(stage.at("path2")), []);
      assert.deepEqual((await readdir(stage.at("path1"))).sort(), Object.values(images).sort());
      await scene.isAt("path1");
    });
  }

  it("with the link re-pointed, and the manifests of one of two disks written, is called off by the next up, which then moves both", async () => {
    await using scene = await Scene.set();
    const { stage } = scene;
    await scene.isPending();
    await scene.writeDown("vdb", ["path1", "path2"]);
    await scene.pointLink();
    const moves = await stage.moves(scene.settings);
    assert.deepEqual(scene.ends(), ["BLOCK_JOB_CANCELLED", "BLOCK_JOB_CANCELLED"]);
    assert.deepEqual(
      Object.values(moves).map(({ phase }) => phase),
      ["settled", "settled"],
    );
    await scene.isAt("path2");
  });
});

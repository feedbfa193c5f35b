import assert from "node:assert/strict";
import { readdir, rm } from "node:fs/promises";
import path from "node:path";
import { type OperationOptions, type OperationResult, openEngine } from "../engine/engine.js";
import { until } from "../sandbox/command.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { Stage } from "../storage-migration/stage.js";
import { copyLayers, precreate } from "./scene.js";

const project = path.resolve(__dirname, "../../../examples/mirrored-snapshot");

/** The example's stack, its monitor behind a proxy that can kill the provider at a command. */
class Stack {
  private constructor(
    readonly stage: Stage,
    readonly proxy: QmpProxy,
  ) {}

  static async open(stage: Stage): Promise<Stack> {
    const proxy = await QmpProxy.listen(stage.at("proxy.sock"), stage.guest.qmpSocket);
    stage.sandbox.defer(() => proxy.close());
    return new Stack(stage, proxy);
  }

  async run(verb: "up" | "destroy", step: string, options: OperationOptions = {}): Promise<OperationResult> {
    const values = { host: JSON.stringify(this.stage.sandbox.host), qmp: this.proxy.path, step };
    const paths = { path1: this.stage.at("path1"), path2: this.stage.at("path2") };
    const config = Object.entries({ ...values, ...paths }).map(([key, value]) => [`livedisk-mirrored-snapshot:${key}`, value]);
    const engine = await openEngine({
      project,
      workFolder: path.join(this.stage.sandbox.folder, "pulumi"),
      config: Object.fromEntries(config),
    });
    return engine[verb](options);
  }

  async must(verb: "up" | "destroy", step: string): Promise<OperationResult> {
    const result = await this.run(verb, step);
    assert(result.ok, result.output);
    return result;
  }

  /** The provider is killed right before QEMU would hear the command. */
  async cut(verb: "up" | "destroy", step: string, command: string): Promise<void> {
    let pid = 0;
    let strikes = 0;
    this.proxy.before(command, () => {
      strikes++;
      process.kill(pid, "SIGKILL");
      return "cut";
    });
    const result = await this.run(verb, step, { onProviderStarted: (started) => (pid = started) });
    assert.equal(strikes, 1, result.output);
    assert(!result.ok);
    await this.stage.guest.waitForRecords(5);
  }

  activeImage(): Promise<string> {
    return this.stage.operator.activeImage("vda");
  }
}

describe("a mirrored snapshot whose provider is killed", function () {
  this.timeout(300_000);

  it("is finished by the next up, wherever it was cut: before the snapshot, before the mirror, in the pivot, after it", async () => {
    await using stage = await Stage.open();
    const stack = await Stack.open(stage);
    await precreate(stage);
    await stack.cut("up", "mirror", "transaction");
    assert.equal(await stack.activeImage(), stage.at("path1/old.qcow2"));
    await stack.cut("up", "mirror", "blockdev-mirror");
    assert.equal(await stack.activeImage(), stage.at("path1/old.migrate"));
    const { outputs } = await stack.must("up", "mirror");
    assert.equal((outputs.states as { vda: { state: string } }).vda.state, "ready");
    await copyLayers(stage);

    await stack.cut("up", "pivot", "blockdev-reopen");
    await stack.cut("up", "pivot", "job-complete");
    assert.equal(await stack.activeImage(), stage.at("path1/old.migrate"));
    await stack.cut("up", "pivot", "job-finalize");
    // the host's worker goes on without its client
    await until(
      30,
      async () => (await stack.activeImage()) === stage.at("path2/new.qcow2") || undefined,
      () => "The worker did not pivot.",
    );
    await stack.must("up", "pivot");
    assert.deepEqual((await readdir(stage.at("path2"))).sort(), ["common.qcow2", "new.qcow2", "old.qcow2"]);
    await stage.guest.waitForRecords(20);
    assert.deepEqual(
      (await stage.guest.openFiles()).filter((file) => file.includes("/path1/")),
      [],
    );

    await stack.cut("up", "shorten", "job-finalize");
    await stack.must("up", "shorten");
    assert.deepEqual(
      (await stage.guest.openFiles()).filter((file) => file.endsWith("old.qcow2")),
      [],
    );
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path2/new.qcow2"));
  });

  it("is taken back by destroy if it was cut before the snapshot, and pivots by destroy if it was cut after the mirror", async () => {
    await using stage = await Stage.open();
    const stack = await Stack.open(stage);
    await precreate(stage);
    await stack.cut("up", "mirror", "transaction");
    // the engine knows of nothing yet, so the resource is looked for once more, and cut again
    await rm(stage.at("path2/new.qcow2"));
    assert(!(await stack.run("up", "mirror")).ok);
    await stack.must("destroy", "mirror");
    assert.equal(await stack.activeImage(), stage.at("path1/old.qcow2"));
    assert.deepEqual((await readdir(stage.at("path1"))).sort(), ["common.qcow2", "old.migrate", "old.qcow2"]);
    assert.deepEqual(await readdir(stage.at("path2")), []);

    await rm(stage.at("path1/old.migrate"));
    await precreate(stage);
    await stack.must("up", "mirror");
    await copyLayers(stage);
    await stack.cut("destroy", "mirror", "job-complete");
    await stack.must("destroy", "mirror");
    assert.equal(await stack.activeImage(), stage.at("path2/new.qcow2"));
    await stage.guest.waitForRecords(20);
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path2/new.qcow2"));
  });
});

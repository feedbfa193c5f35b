import assert from "node:assert/strict";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { cutPlaces } from "../e2e/cuts.js";
import { assertNothingLost, assertSettledAt, assertWritesOn, look } from "../e2e/reality.js";
import { openStage, type Stage } from "../e2e/stage.js";
import { until } from "../sandbox/command.js";
import { type Checkout, type Ended, endJob, Runner } from "./checkout.js";

describe("examples/gitops", function () {
  this.timeout(600_000);

  it("shows the plan on a merge request, moves after it, and needs neither a terminal nor a key in the repository", async () => {
    await using stage = await openStage("gitops", { kind: "StorageMigration", through: "link" });
    const pipeline = await Pipeline.open(stage);
    await pipeline.must("up", "path1");

    const asked = await pipeline.must("preview", "path2");
    assert.match(asked.output, /plan: vda: 2 layers, .* MiB, from .*disks\/old\.qcow2 to .*path2, live/);
    assert.equal(readFileSync(path.join(asked.checkout.folder, "plan.txt"), "utf8"), asked.output.slice(-asked.planLength));
    assert.equal((await look(stage)).active, stage.at("path1", "old.qcow2"));

    const merged = await pipeline.must("up", "path2");
    for (const { output } of [asked, merged]) assert.doesNotMatch(output, /PRIVATE KEY/);
    await assertSettledAt(stage, "path2", ["path1"]);
    assert.doesNotMatch((await pipeline.must("preview", "path2")).output, /plan:/);
    await assertNothingLost(stage, stage.at("path2", "old.qcow2"));
  });

  it("refuses in words what it was not told", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "livedisk-gitops-"));
    try {
      const checkout = (await Runner.make(folder, { PULUMI_STACK: "prod" })).checkOut("gitops", "job");
      const unnamed = await checkout.run("./pipeline.sh", ["up"], { PULUMI_STACK: "" });
      assert.match(unnamed.output, /PULUMI_STACK: name the stack, such as prod/);
      assert.deepEqual(await checkout.run("./pipeline.sh", ["destroy"]), { status: 64, output: "usage: pipeline.sh preview|up\n" });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("finishes from another checkout the move of a runner that was ended by SIGTERM and SIGKILL", async () => {
    await using stage = await openStage("ended", { kind: "StorageMigration", through: "link" });
    const pipeline = await Pipeline.open(stage);
    await pipeline.must("up", "path1");
    await cutAndFinish(pipeline, "path1", "path2", "copy", "process group");
    await assertSettledAt(stage, "path2", ["path1"]);
    await cutAndFinish(pipeline, "path2", "path3", "mirror", "container");
    await assertSettledAt(stage, "path3", ["path1", "path2"]);
    await assertNothingLost(stage, stage.at("path3", "old.qcow2"));
  });
});

async function cutAndFinish(pipeline: Pipeline, from: string, to: string, where: "copy" | "mirror", reach: "process group" | "container") {
  const { stage } = pipeline;
  const { job, ended } = pipeline.checkOut(to).begin("./pipeline.sh", ["up"]);
  const over = new AbortController();
  ended.finally(() => over.abort());
  await cutPlaces[where].watch(stage, to, () => endJob(job, reach), over.signal);
  const { status, output } = await ended;
  assert.notEqual(status, 0, `the runner came to its end before it was ended:\n${output}`);
  await assertWritesOn(stage);
  assert.equal((await look(stage)).active, stage.at(from, "old.qcow2"));
  const left = async () => ((await stage.sandbox.sshd.connections()) === 0 ? true : undefined);
  await until(60, left, () => "What the ended runner has started does not leave the host.");
  const { output: finished } = await pipeline.must("up", to);
  assert.doesNotMatch(finished, /another run holds the lock/);
}

/** A repository, and a runner that makes a new checkout of it for every job. */
class Pipeline {
  #jobs = 0;

  private constructor(
    readonly stage: Stage,
    readonly runner: Runner,
    /** Where Pulumi.prod.yaml lies; what `pulumi stack init` wrote into it stays. */
    readonly repository: Checkout,
  ) {}

  static async open(stage: Stage): Promise<Pipeline> {
    const environment = { PULUMI_STACK: "prod", LIVEDISK_PRIVATE_KEY: await stage.privateKey() };
    const runner = await Runner.make(path.join(stage.sandbox.folder, "runner"), environment);
    console.log(`      engine: ${runner.engine}`);
    const repository = runner.checkOut("gitops", "repository");
    await repository.must("pulumi", "stack", "select", "--create", "--non-interactive", "prod");
    return new Pipeline(stage, runner, repository);
  }

  /** With the disk wanted at `storage`; so slow that a move can be ended in its middle. */
  checkOut(storage: string): Checkout {
    const { stage } = this;
    const checkout = this.runner.checkOut("gitops", `job-${++this.#jobs}`);
    const committed = path.join(this.repository.folder, "Pulumi.prod.yaml");
    const file = path.join(checkout.folder, "Pulumi.prod.yaml");
    if (existsSync(committed)) cpSync(committed, file);
    const { identityFile: _, ...host } = stage.sandbox.host;
    const web = { qmp: stage.guest.qmpSocket, destination: stage.at(storage), link: stage.link, maxBytesPerSecond: 16 * 2 ** 20 };
    const config = { "livedisk-gitops:host": host, "livedisk-gitops:guests": { web } };
    const lines = Object.entries(config).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}\n`);
    writeFileSync(file, `config:\n${lines.join("")}`, { flag: "a" });
    return checkout;
  }

  async must(verb: "preview" | "up", storage: string): Promise<{ output: string; checkout: Checkout; planLength: number }> {
    const checkout = this.checkOut(storage);
    const { status, output }: Ended = await checkout.run("./pipeline.sh", [verb]);
    assert.equal(status, 0, output);
    const plan = path.join(checkout.folder, "plan.txt");
    return { output, checkout, planLength: existsSync(plan) ? readFileSync(plan, "utf8").length : 0 };
  }
}

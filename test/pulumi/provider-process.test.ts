import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { type LogLine, serveEngineLog } from "../engine/engine-log.js";
import { InitFailed } from "../engine/init-failure.js";
import { ProviderProcess } from "../engine/provider-process.js";
import { until } from "../sandbox/command.js";
import { providerText } from "./samples.js";

const urn = "urn:pulumi:s::p::pulumi-nodejs:dynamic/livedisk:DomainDisk::web";

describe("the adapter in the SDK's real provider process", function () {
  this.timeout(60_000);
  let engine: { address: string; close(): void };
  let provider: ProviderProcess;
  let lines: LogLine[];
  let printed: string[];
  let folder: string;

  beforeEach(async () => {
    [lines, printed] = [[], []];
    folder = mkdtempSync(join(tmpdir(), "livedisk-"));
    engine = await serveEngineLog((line) => lines.push(line));
    provider = await ProviderProcess.start({
      engineAddress: engine.address,
      folder,
      project: "p",
      config: { "livedisk:privateKey": "secret key" },
      onOutput: (line) => printed.push(line),
    });
  });

  afterEach(async () => {
    await provider.close();
    engine.close();
    rmSync(folder, { recursive: true });
  });

  const bagFor = (sample: string) => ({ __provider: providerText(sample), __urn: urn, storage: "/path1" });
  const create = (sample: string, more = {}) => provider.create(urn, { ...bagFor(sample), ...more });
  /** A call that goes on until it is asked to stop, once it has begun. In an object, so that it is not waited for. */
  const beginUntilStopped = async (mark: string) => {
    const answer = create("untilStopped", { mark }).catch((thrown) => thrown);
    await until(
      10,
      () => lines[0],
      () => "The work has not begun.",
    );
    return { answer };
  };

  it("keeps all inputs, hidden ones too, in the outputs, and shows a lifecycle only its own", async () => {
    const { outputs } = await create("plain");
    assert.deepEqual(outputs, { ...bagFor("plain"), schemaVersion: 1, seen: ["storage"] });
    assert.deepEqual(await provider.update(urn, "d1", outputs, bagFor("plain")), { ...bagFor("plain"), schemaVersion: 1, running: true });
  });

  it("keeps the hidden inputs through check, and writes its defaults there", async () => {
    const { storage: _, ...bare } = bagFor("plain");
    assert.deepEqual((await provider.check(urn, {}, bare)).inputs, bagFor("plain"));
  });

  it("finds no difference after create and a read of an unchanged disk", async () => {
    const { id, outputs } = await create("plain", { storage: "/path9" });
    const read = await provider.read(urn, id, { properties: outputs, inputs: {} });
    const { changes } = await provider.diff(urn, id, read.outputs, { ...bagFor("plain"), storage: "/path9" });
    assert.equal(changes, "none");
  });

  it("leaves it to the engine which inputs differ, and leaves the URN out", async () => {
    const olds = { ...bagFor("plain"), schemaVersion: 1 };
    assert.equal((await provider.diff(urn, "d1", olds, { ...bagFor("plain"), storage: "/path2" })).changes, "unknown");
    assert.equal((await provider.diff(urn, "d1", olds, { ...bagFor("plain"), __urn: `${urn}2` })).changes, "none");
  });

  it("answers a read with the full inputs", async () => {
    const read = await provider.read(urn, "d1", { properties: { ...bagFor("plain"), schemaVersion: 1 }, inputs: {} });
    assert.deepEqual(read.inputs, { ...bagFor("plain"), storage: "/path9" });
  });

  it("says that a resource is gone on refresh", async () => {
    const read = await provider.read(urn, "d1", { properties: { ...bagFor("gone"), schemaVersion: 1 }, inputs: {} });
    assert.equal(read.id, "");
  });

  it("refuses to get a resource that does not exist", async () => {
    await assert.rejects(provider.read(urn, "d1", { inputs: bagFor("gone") }), /Unable to get d1: its host says that it does not exist/);
  });

  it("lets no numeric code out", async () => {
    const error = await provider.read(urn, "d1", { properties: bagFor("numericCode"), inputs: {} }).catch((thrown) => thrown);
    assert.equal(error.code, 2, "gRPC's UNKNOWN");
    assert.equal(error.details, "ssh ended with 5");
  });

  it("prints what the user can mend as one line, without a stack", async () => {
    await assert.rejects(provider.delete(urn, "d1", bagFor("numericCode")));
    await until(
      10,
      () => printed[0],
      () => "Nothing is printed.",
    );
    const closed = once(provider.child, "close"); // a stack would come behind the line
    provider.child.stdin.end();
    await closed;
    assert.deepEqual(printed, ["pulumi-livedisk: Unable to end the move of vda: the disk is full. Free space."]);
  });

  it("answers when something is thrown that is not an error", async () => {
    await assert.rejects(create("notAnError"), /Something was thrown that is not an error: 'a text'/);
    await assert.rejects(provider.check(urn, {}, bagFor("notAnError")), /not an error: undefined/);
  });

  it("leaves out what has no value", async () => {
    assert.deepEqual((await create("odd")).outputs.inner, [{ kept: null }]);
  });

  it("refuses a date in the outputs and names its place", async () => {
    await assert.rejects(create("date"), /Unable to keep inner\[0\]\.at in the state: it is a Date/);
  });

  it("hands over what is known of an unfinished create and update", async () => {
    const created = await create("unfinished").catch((thrown) => thrown);
    assert.ok(created instanceof InitFailed);
    assert.deepEqual([created.id, created.reasons, created.message], ["d1", ["Unable to finish."], "Unable to finish."]);
    assert.deepEqual(created.properties, { ...bagFor("unfinished"), schemaVersion: 1, phase: "copying" });
    const updated = await provider.update(urn, "d1", {}, bagFor("unfinished")).catch((thrown) => thrown);
    assert.ok(updated instanceof InitFailed);
  });

  it("answers a create that hangs once stallSeconds have passed", async () => {
    await assert.rejects(
      create("hangs", { stallSeconds: 0.2 }),
      /Unable to finish the create of web: nothing has moved for more than 0\.2 seconds/,
    );
  });

  it("does not take the same line said again for progress", async () => {
    await assert.rejects(create("repeatsItself", { stallSeconds: 0.2 }), /nothing has moved/);
  });

  it("answers when an error is thrown where nobody catches it", async () => {
    await assert.rejects(create("throwsElsewhere"), /an error was thrown that nobody caught, "read ECONNRESET"/);
  });

  it("shows progress on the resource's own line, at most twice a second, the last one always", async () => {
    await create("talkative");
    const said = () => lines.find(({ message }) => message === "copied 1000") && lines.find(({ severity }) => severity === "warning");
    await until(10, said, () => `The last lines have not come: ${JSON.stringify(lines.at(-1))}.`);
    const progress = lines.filter((line) => line.ephemeral);
    assert.ok(progress.length >= 2 && progress.length <= 5, `${progress.length} lines`);
    assert.deepEqual(progress.at(-1), { severity: "info", message: "copied 1000", urn, ephemeral: true });
    assert.ok(lines.some((line) => line.severity === "warning" && !line.ephemeral && line.urn === urn));
  });

  it("goes on when the engine's log is gone", async () => {
    engine.close();
    assert.equal((await create("talkative")).id, "d1");
  });

  it("hands the stack's secrets and the URN to the lifecycle, also to two calls at once", async () => {
    const both = await Promise.all([create("signsIn"), create("signsIn")]);
    for (const { outputs } of both) assert.deepEqual([outputs.keyLength, outputs.urn], [10, urn]);
  });

  for (const end of ["the end of standard input", "SIGINT", "SIGTERM"]) {
    it(`asks open work to stop on ${end}, answers it, and ends`, async () => {
      const mark = join(folder, "mark");
      const { answer } = await beginUntilStopped(mark);
      if (end.startsWith("SIG")) process.kill(provider.pid, end);
      else provider.child.stdin.end();
      assert.ok((await answer) instanceof InitFailed);
      await provider.exited;
      assert.equal(readFileSync(mark, "utf8"), "stopped");
    });
  }

  it("answers on SIGINT a call, too, that an engine begins which was not told, though late, and then ends", async () => {
    const mark = join(folder, "mark");
    const { answer } = await beginUntilStopped(mark);
    process.kill(provider.pid, "SIGINT");
    await answer;
    await setTimeout(600); // of a busy engine
    const next: unknown = await provider.update(urn, "d1", {}, bagFor("untilStopped")).catch((thrown: unknown) => thrown);
    assert(next instanceof InitFailed, String(next));
    assert.match(String(next.reasons), /Stopped as asked/);
    await provider.exited;
  });

  it("ends at once when the engine ends, too, after it was told to stop", async () => {
    const mark = join(folder, "mark");
    const { answer } = await beginUntilStopped(mark);
    process.kill(provider.pid, "SIGINT");
    await answer;
    const began = performance.now();
    process.kill(provider.pid, "SIGINT");
    await provider.exited;
    assert(performance.now() - began < 9000, "it waited for a call");
  });

  it("ends at once on SIGINT when nothing is open", async () => {
    await create("plain");
    process.kill(provider.pid, "SIGINT");
    await provider.exited;
    assert.ok(!existsSync(join(folder, "mark")));
  });
});

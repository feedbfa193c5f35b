import assert from "node:assert/strict";
import { mkdir, readdir } from "node:fs/promises";
import path from "node:path";
import { openEngine } from "../../engine/engine.js";
import { until } from "../../sandbox/command.js";
import { LibvirtStage } from "./stage.js";

/** The program is not compiled: it is found from the repository's root. */
const project = path.resolve(__dirname, "../../../../test/e2e/program");

describe("a move through libvirt that the engine interrupts (SIGINT)", function () {
  this.timeout(240_000);

  it("stops between two steps, is gone on with by the next up, and is undone by destroy", async () => {
    await using stage = await LibvirtStage.open();
    const workFolder = path.join(stage.sandbox.folder, "pulumi");
    await mkdir(workFolder);
    const open = (more: Record<string, unknown> = {}) => {
      const args = { ...stage.arguments, strategy: "snapshot", ...more };
      const config = { "livedisk-e2e:kind": "StorageMigration", "livedisk-e2e:arguments": JSON.stringify(args) };
      return openEngine({ project, workFolder, config });
    };
    const isInCopy = (name: string) => /lm-partial/.test(name);
    /** An up that is told to stop in the middle of a copy. */
    const interrupted = async () => {
      const engine = new AbortController();
      const going = (await open({ maxBytesPerSecond: 8 << 20 })).up({ signal: engine.signal });
      const inCopy = async () => ((await readdir(stage.at("path2"))).some(isInCopy) ? true : undefined);
      await until(90, inCopy, () => "No copy was seen.");
      engine.abort();
      const ended = await going;
      assert(!ended.ok, ended.output);
      const { live, inactive } = await stage.places();
      assert.match(String(live), /path1\/lm-[0-9a-f]{8}\.overlay\.qcow2$/);
      assert.equal(inactive, live);
    };
    const [source, destination] = [stage.at("path1/old.qcow2"), stage.at("path2/old.qcow2")];
    const adopt = async () => (await open({ destination: stage.at("path1") })).up();
    assert((await adopt()).ok);
    await interrupted();
    const undone = await (await open()).destroy();
    assert(undone.ok, undone.output);
    assert.deepEqual(await stage.places(), { live: source, inactive: source });
    assert.deepEqual(await readdir(stage.at("path2")), []);
    assert((await adopt()).ok);
    await interrupted();
    const done = await (await open()).up();
    assert(done.ok, done.output);
    assert.deepEqual(await stage.places(), { live: destination, inactive: destination });
    await stage.survivesRestart(destination);
  });
});

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { type OperationResult, openEngine } from "../../engine/engine.js";
import { twoLayers } from "../../sandbox/disks.js";
import { LibvirtStage } from "./stage.js";

const project = path.resolve(__dirname, "../../../../examples/libvirt");

describe("examples/libvirt", function () {
  this.timeout(240_000);

  it("adopts, previews and moves by an engine, and is quiet afterwards", async () => {
    const disks = (at: (...names: string[]) => string) => [
      { id: "vda", storage: at("path1") },
      { id: "vdb", storage: at("path1"), layers: twoLayers("b-") },
    ];
    await using stage = await LibvirtStage.open({ disks });
    const workFolder = path.join(stage.sandbox.folder, "pulumi");
    await mkdir(workFolder);
    const open = (destination: string) => {
      const values = { host: JSON.stringify(stage.sandbox.host), domain: stage.guest.name, uri: stage.libvirtd.uri, destination };
      const config = Object.fromEntries(Object.entries(values).map(([key, value]) => [`livedisk-libvirt:${key}`, value]));
      return openEngine({ project, workFolder, prefer: "cli", config });
    };
    const adopting = await open(stage.at("path1"));
    console.log(`      engine: ${adopting.describe()}`);
    must(await adopting.up());
    const moving = await open(stage.at("path2"));
    assert.match(must(await moving.preview()).output, /plan: vda: 2 layers, .* to .*path2, live/);
    const { outputs } = must(await moving.up());
    const old = stage.at("path2/old.qcow2");
    assert.equal((outputs.vda as { bootPath: string }).bootPath, old);
    assert.deepEqual(await stage.places("vda"), { live: old, inactive: old });
    assert.deepEqual(await stage.places("vdb"), { live: stage.at("path1/b-old.qcow2"), inactive: stage.at("path1/b-old.qcow2") });
    must(await moving.preview({ expectNoChanges: true }));
    await stage.survivesRestart(old);
    // shut off now: seen as such, and nothing to do
    const { state } = must(await moving.refresh());
    assert.deepEqual(
      state.deployment.resources.filter(({ type }) => type.includes("livedisk")).map(({ outputs }) => outputs.running),
      [false, false],
    );
    must(await moving.preview({ expectNoChanges: true }));
    must(await moving.destroy());
  });
});

function must(result: OperationResult): OperationResult {
  assert(result.ok, result.output);
  return result;
}

import assert from "node:assert/strict";
import { readlink, realpath, symlink } from "node:fs/promises";
import path from "node:path";
import { type Engine, type OperationResult, openEngine } from "../engine/engine.js";
import { chainOf } from "../sandbox/check.js";
import { twoLayers } from "../sandbox/disks.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { Stage } from "../storage-migration/stage.js";

/** The example is not compiled: it is found from the repository's root. */
const project = path.resolve(__dirname, "../../../examples/multi-disk");
const ids = ["vda", "vdb", "vdc"];
/** Its types are checked by types.test.ts. */
const env = { PULUMI_NODEJS_TRANSPILE_ONLY: "true" };

describe("examples/multi-disk", function () {
  this.timeout(600_000);

  it("moves three disks in one operation, or none of them when the run is killed between two of their switches", async () => {
    await using stage = await threeDisks();
    await using proxy = await QmpProxy.listen(stage.at("proxy.sock"), stage.guest.qmpSocket);
    const engineTo = (storage: string) => engine(stage, proxy.path, storage);
    must(await (await engineTo("path1")).up({ env }));
    const moving = await engineTo("path2");
    assert.match(
      must(await moving.preview({ env })).output,
      /plan: vda: 2 layers, .*; vdb: 2 layers, .*; vdc: 2 layers, .* to .*path2, live/,
    );

    // the first of three is told to switch, the second is not
    let pid = 0;
    proxy.before("job-complete", () => {
      proxy.before("job-complete", () => {
        process.kill(pid, "SIGKILL");
        return "cut";
      });
      return "forward";
    });
    const killed = await moving.up({ env, onProviderStarted: (started) => (pid = started) });
    assert(!killed.ok, killed.output);
    await stage.guest.waitForRecords(10);
    assert.deepEqual(await active(stage), homes(stage, "path1"));
    assert.equal(await readlink(stage.at("disks")), stage.at("path1"));

    const { outputs } = must(await moving.up({ env }));
    assert.deepEqual(await active(stage), homes(stage, "path2"));
    assert.equal(await readlink(stage.at("disks")), stage.at("path2"));
    const throughLink = homes(stage, "disks");
    assert.deepEqual(outputs.bootPaths, Object.fromEntries(ids.map((id, index) => [id, throughLink[index]])));
    must(await moving.preview({ env, expectNoChanges: true }));
    await stage.guest.waitForRecords(10);
    await stage.guest.stop();
    for (const [index, id] of ids.entries()) {
      const image = homes(stage, "path2")[index] ?? "";
      assert.deepEqual(
        (await chainOf(image)).map(({ path: layer }) => path.dirname(layer)),
        [stage.at("path2"), stage.at("path2")],
      );
      await stage.holdsAll(image, id);
    }
  });
});

/** All in one directory, behind a link by which the command line names them. */
function threeDisks(): Promise<Stage> {
  const disks = async (at: (...names: string[]) => string) => {
    await symlink(at("path1"), at("disks"));
    const place = { storage: at("path1"), through: at("disks"), virtualMiB: 128 };
    return ids.map((id, index) => ({ ...place, id, layers: twoLayers(index === 0 ? "" : `${id}-`) }));
  };
  return Stage.open({ sandboxName: "three disks", disks });
}

function engine(stage: Stage, qmp: string, storage: string): Promise<Engine> {
  const values = { host: JSON.stringify(stage.sandbox.host), qmp, destination: stage.at(storage), link: stage.at("disks") };
  const config = Object.fromEntries(Object.entries(values).map(([key, value]) => [`livedisk-multi-disk:${key}`, value]));
  return openEngine({ project, workFolder: path.join(stage.sandbox.folder, "pulumi"), prefer: "cli", config });
}

/** The images that take the guest's writes, by their own paths: before the switch QEMU names them through the link. */
async function active(stage: Stage): Promise<string[]> {
  const named: string[] = [];
  for (const id of ids) named.push(await realpath(await stage.operator.activeImage(id)));
  return named;
}

function homes(stage: Stage, storage: string): string[] {
  return ["old.qcow2", "vdb-old.qcow2", "vdc-old.qcow2"].map((file) => stage.at(storage, file));
}

function must(result: OperationResult): OperationResult {
  assert(result.ok, result.output);
  return result;
}

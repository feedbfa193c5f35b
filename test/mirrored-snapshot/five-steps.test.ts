import assert from "node:assert/strict";
import path from "node:path";
import { type Engine, type OperationResult, openEngine } from "../engine/engine.js";
import { chainOf } from "../sandbox/check.js";
import { run } from "../sandbox/command.js";
import { Stage } from "../storage-migration/stage.js";
import { copyLayers, inStage, precreate } from "./scene.js";

/** The example is not compiled: it is found from the repository's root. */
const project = path.resolve(__dirname, "../../../examples/mirrored-snapshot");

describe("the proposal's five steps, as examples/mirrored-snapshot has them", function () {
  this.timeout(240_000);

  for (const copyMode of ["background", "write-blocking"]) {
    it(`move the disk of a guest that writes all the time, copy mode ${copyMode}`, async () => {
      await using stage = await Stage.open();
      const engineAt = (step: string): Promise<Engine> => {
        const values = { host: JSON.stringify(stage.sandbox.host), qmp: stage.guest.qmpSocket, step, copyMode };
        const paths = { path1: stage.at("path1"), path2: stage.at("path2") };
        const config = Object.entries({ ...values, ...paths }).map(([key, value]) => [`livedisk-mirrored-snapshot:${key}`, value]);
        return openEngine({ project, workFolder: path.join(stage.sandbox.folder, "pulumi"), config: Object.fromEntries(config) });
      };

      // 1. two files whose headers name old.qcow2 relatively
      await precreate(stage);

      // 2. the snapshot with its mirror, respecting the headers
      const mirroring = await engineAt("mirror");
      const mirrored = must(await mirroring.up());
      assert.match(mirrored.output, /From now on a boot of .* must use .*path1\/old\.migrate for vda/);
      const { states, xml } = mirrored.outputs as { states: Record<string, { state: string; current: string }>; xml: string };
      assert.equal(states.vda?.state, "ready");
      assert.equal(states.vda?.current, stage.at("path1/old.migrate"));
      assert.match(xml, /<mirror file='.*path2\/new\.qcow2'\/>/);
      assert.equal(await stage.operator.activeImage("vda"), stage.at("path1/old.migrate"));
      must(await mirroring.preview({ expectNoChanges: true }));
      await stage.guest.waitForRecords(50);

      // 3. the user's own copy, while the guest writes
      await copyLayers(stage);
      await stage.guest.waitForRecords(50);

      // 4. delete with pivot
      const pivoted = must(await (await engineAt("pivot")).up());
      assert.deepEqual(
        pivoted.changes.filter(({ type }) => type.startsWith("livedisk:")).map(({ op }) => op),
        ["delete"],
      );
      assert.equal(await stage.operator.activeImage("vda"), stage.at("path2/new.qcow2"));
      assert.deepEqual(inStage(stage, await chainOf(stage.at("path2/new.qcow2"))), [
        "path2/new.qcow2",
        "path2/old.qcow2",
        "path2/common.qcow2",
      ]);
      assert.deepEqual(
        (await stage.guest.openFiles()).filter((file) => file.includes("/path1/")),
        [],
      );
      await run("mv", [stage.at("path1"), stage.at("path1-gone")]); // the guest runs on path2 alone
      await stage.guest.waitForRecords(50);

      // 5. blockpull --base
      const shortening = await engineAt("shorten");
      must(await shortening.up());
      assert.deepEqual(inStage(stage, await chainOf(stage.at("path2/new.qcow2"))), ["path2/new.qcow2", "path2/common.qcow2"]);
      must(await shortening.preview({ expectNoChanges: true }));
      await stage.guest.waitForRecords(50);
      assert.deepEqual(
        (await stage.guest.openFiles()).filter((file) => file.endsWith("old.qcow2")),
        [],
      );

      await stage.guest.stop();
      const chain = await chainOf(stage.at("path2/new.qcow2"));
      assert.deepEqual(
        chain.map(({ backingName }) => backingName),
        ["common.qcow2", undefined],
      );
      await stage.holdsAll(stage.at("path2/new.qcow2"));
    });
  }
});

function must(result: OperationResult): OperationResult {
  assert(result.ok, result.output);
  return result;
}

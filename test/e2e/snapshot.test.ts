import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { chainOf, checkImage } from "../sandbox/check.js";
import { Operator } from "../sandbox/operator.js";
import { openStage, type Stage } from "./stage.js";

const minute = 60_000;

/** Moves the disk of a writing guest by an overlay, and answers with what became of it. */
async function move(stage: Stage, more: Record<string, unknown>) {
  const settings = { strategy: "snapshot", restartDuringMove: "from-manifest", ...more };
  await stage.must("up", "path1", {}, settings);
  const moved = await stage.must("up", "path2", {}, settings);
  await stage.guest.waitForRecords(10);
  const operator = await Operator.connect(stage.guest.operatorSocket);
  const active = await operator.activeImage("vda");
  const nodes = (await operator.execute("query-named-block-nodes", { flat: true })) as { "node-name": string; file: string }[];
  await operator.close();
  const second = await stage.must("preview", "path2", { expectNoChanges: true }, settings);
  await stage.guest.stop();
  const check = await checkImage(active, stage.guest.disk());
  return { active, nodes, check, second, moved, chain: await chainOf(active) };
}

describe("strategy snapshot", () => {
  // every collapse in both copy modes, without an engine: test/matrix
  for (const [collapse, copyMode] of [
    ["commit", "background"],
    ["pull", "write-blocking"],
  ] as const) {
    it(`with collapse ${collapse} and copy mode ${copyMode} ends on the same names, with every record`, async () => {
      await using stage = await openStage("snapshot", { kind: "StorageMigration", through: "link" });
      const { active, check, chain } = await move(stage, { collapse, copyMode });
      assert.equal(active, stage.at("path2", "old.qcow2"));
      assert.deepEqual(
        chain.map(({ path }) => path),
        ["old.qcow2", "common.qcow2"].map((name) => stage.at("path2", name)),
      );
      assert.deepEqual([check.lost, check.corrupt], [[], []]);
      const left = (await stage.sandbox.leftovers([active])).filter((file) => !/path1\/(common\.qcow2|old\.qcow2\.lm-)/.test(file));
      assert.deepEqual(left, []);
    }).timeout(2 * minute);
  }

  it("with collapse none keeps the longer chain, with every record", async () => {
    // without a link: provider/ refuses this collapse with one
    await using stage = await openStage("snapshot", { kind: "StorageMigration" });
    const { check, chain } = await move(stage, { collapse: "none" });
    assert.equal(chain.length, 3);
    assert.deepEqual([check.lost, check.corrupt], [[], []]);
  }).timeout(2 * minute);

  for (const [place, seen] of [
    ["while the frozen files are copied", { copying: true }],
    ["while the overlay is mirrored", { mirroring: true }],
  ] as const) {
    it(`is undone to the source's exact chain when it is cut ${place} and destroyed`, async () => {
      await using stage = await openStage("snapshot", { kind: "StorageMigration", through: "link", monitor: "proxied" });
      const settings = { strategy: "snapshot", restartDuringMove: "from-manifest" };
      await stage.must("up", "path1", {}, settings);
      const inode = (await stat(stage.at("path1", "old.qcow2"))).ino;
      await cutAt(stage, "mirroring" in seen ? "job-complete" : "blockdev-mirror", settings);
      await stage.must("destroy", "path2", {}, settings);
      await stage.guest.waitForRecords(5);
      await using operator = await Operator.connect(stage.guest.operatorSocket);
      assert.equal(await operator.activeImage("vda"), stage.at("disks", "old.qcow2"));
      assert.equal((await stat(stage.at("path1", "old.qcow2"))).ino, inode);
      assert.deepEqual(await stage.sandbox.leftovers(), []);
      await stage.guest.stop();
      const check = await checkImage(stage.at("path1", "old.qcow2"), stage.guest.disk());
      assert.deepEqual([check.lost, check.corrupt], [[], []]);
    }).timeout(2 * minute);
  }

  for (const command of ["blockdev-mirror", "job-finalize", "block-commit"]) {
    it(`ends on the destination by the next up when the provider is killed at ${command}`, async () => {
      await using stage = await openStage("snapshot", { kind: "StorageMigration", through: "link", monitor: "proxied" });
      const settings = { strategy: "snapshot", restartDuringMove: "from-manifest" };
      await stage.must("up", "path1", {}, settings);
      await cutAt(stage, command, settings);
      await stage.guest.waitForRecords(5);
      await stage.must("up", "path2", {}, settings);
      await stage.guest.waitForRecords(5);
      await stage.guest.stop();
      const check = await checkImage(stage.at("path2", "old.qcow2"), stage.guest.disk());
      assert.deepEqual([check.lost, check.corrupt], [[], []]);
    }).timeout(2 * minute);
  }
});

/** An `up` whose provider is killed right before QEMU would see the command. */
async function cutAt(stage: Stage, command: string, settings: Record<string, unknown>): Promise<void> {
  const pids: number[] = [];
  stage.proxy.before(command, () => {
    for (const pid of pids) process.kill(pid, "SIGKILL");
    return "cut";
  });
  const cut = await stage.run("up", "path2", { onProviderStarted: (pid) => pids.push(pid) }, settings);
  assert.equal(cut.ok, false, cut.output);
}

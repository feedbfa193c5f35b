/** Spellings and places of directories: links, places inside each other, the same place by another name. */

import assert from "node:assert/strict";
import { mkdir, symlink } from "node:fs/promises";
import { chainOf } from "../sandbox/check.js";
import { snapshotOf } from "./snapshot.js";
import { onOwnStage, Recorder } from "./stage.js";

describe("a destination", function () {
  this.timeout(180_000);
  const stage = onOwnStage();

  it("that is the source by another spelling is settled, and nothing is done", async () => {
    await symlink(stage().at("path1"), stage().at("alias"));
    for (const destination of [stage().at("alias"), `${stage().at("path1")}/../path1/`, `${stage().at("path1")}//.`]) {
      const before = await snapshotOf([stage().at("path1")], stage().operator, [stage().at("path1", "old.qcow2")]);
      const { vda } = await stage().moves({ destination });
      assert.equal(vda?.phase, "settled");
      assert.deepEqual(await snapshotOf([stage().at("path1")], stage().operator, [stage().at("path1", "old.qcow2")]), before);
    }
  });

  it("that is reached through a link keeps the user's spelling", async () => {
    await symlink("path2", stage().at("fast"));
    const { vda } = await stage().moves({ destination: stage().at("fast") });
    assert.deepEqual(
      vda?.chain.map(({ path }) => path),
      [stage().at("fast", "old.qcow2"), stage().at("fast", "common.qcow2")],
    );
    assert.equal((await stage().moves({ destination: stage().at("path2") })).vda?.phase, "settled");
  });

  it("inside the source's directory is like any other", async () => {
    await mkdir(stage().at("path1", "inner"));
    const { vda } = await stage().moves({ destination: stage().at("path1", "inner") });
    assert.deepEqual(
      vda?.chain.map(({ path }) => path),
      [stage().at("path1", "inner", "old.qcow2"), stage().at("path1", "inner", "common.qcow2")],
    );
  });

  it("above the source's directory is like any other, and says how far it is", async () => {
    await mkdir(stage().at("path2", "inner"));
    await stage().moves({ destination: stage().at("path2", "inner") });
    const run = new Recorder();
    const { vda } = await stage().moves({}, run);
    assert(
      run.lines.some((line) => /^vda copying \d+ %/.test(line)),
      run.lines.join("\n"),
    );
    assert((vda?.pauseMs ?? 1000) < 1000);
    await stage().guest.waitForRecords(20);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "old.qcow2"));
    assert.deepEqual(
      (await chainOf(stage().at("path2", "old.qcow2"))).map(({ backingName }) => backingName),
      ["common.qcow2", undefined],
    );
  });
});

/** Somebody else's overlay, a backup's for example, on a disk whose move or mirrored snapshot is under way: what it holds is nowhere else. */

import assert from "node:assert/strict";
import { copyFile, readdir, readFile, rename } from "node:fs/promises";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { manifestsIn } from "../hypervisor/libvirt/alone.js";
import { copyLayers, endSnapshot, makeSnapshot, precreate, snapshotArguments, writeInto } from "../mirrored-snapshot/scene.js";
import { until } from "../sandbox/command.js";
import { putOverlay, takeOverlay } from "../sandbox/overlay.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { Recorder, Stage, stopAt } from "../storage-migration/stage.js";

const strategy = "snapshot";
const restartDuringMove = "from-manifest";

describe("an overlay that somebody else puts on a disk", function () {
  this.timeout(180_000);
  let stage: Stage;
  let proxy: QmpProxy;
  beforeEach(async () => {
    stage = await Stage.open();
    proxy = await QmpProxy.listen(stage.at("proxy.sock"), stage.guest.qmpSocket);
    stage.sandbox.defer(() => proxy.close());
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  const domain = () => ({ qmp: proxy.path });
  const theirs = () => stage.at("path1/theirs.qcow2");
  const put = () => putOverlay(stage.operator, "vda", theirs(), stage.guest.disk().virtualBytes);

  /** The run ends right before QEMU would see the command, and nothing of ours goes on in QEMU. */
  async function cutAt(command: string, going: () => Promise<unknown>): Promise<void> {
    proxy.before(command, () => "cut");
    await assert.rejects(going(), Unfinished);
    const rests = async () => {
      const jobs = (await stage.operator.execute("query-jobs")) as { status: string }[];
      return jobs.every(({ status }) => status === "concluded") || undefined;
    };
    await until(30, rests, () => "A job of the run that was cut goes on.");
  }

  /** The next run says what it has found, and touches nothing. */
  async function isNamed(below: string, going: () => Promise<unknown>): Promise<void> {
    await stage.guest.waitForRecords(10);
    await assert.rejects(going(), (thrown) => {
      assert(thrown instanceof Error);
      assert(thrown.message.includes(`somebody has put ${theirs()} on top of ${below}`), thrown.message);
      return true;
    });
    assert.equal(await stage.operator.activeImage("vda"), theirs());
  }

  async function endsAt(image: string): Promise<void> {
    await stage.guest.waitForRecords(10);
    await stage.guest.stop();
    await stage.holdsAll(image);
  }

  it("on the former image after a run was cut in the switch is named by the next run, and not taken for that image", async () => {
    const up = () => stage.moves({ domain: domain() });
    await cutAt("job-complete", up);
    const node = await put();
    await isNamed(stage.at("path1/old.qcow2"), up);
    await takeOverlay(stage.operator, node);
    assert.equal((await up()).vda?.phase, "settled");
    await endsAt(stage.at("path2/old.qcow2"));
  });

  it("on the overlay of strategy snapshot while layers are copied is named, and no message says to start the guest without it", async () => {
    const settings = { domain: domain(), strategy, restartDuringMove };
    await assert.rejects(stopAt("copying", stage, { ...settings, maxBytesPerSecond: 16_000_000 }), Unfinished);
    const overlay = await stage.operator.activeImage("vda");
    const node = await put();
    await isNamed(overlay, () => stage.moves(settings));
    await takeOverlay(stage.operator, node);
    assert.equal((await stage.moves(settings)).vda?.phase, "settled");
    await endsAt(stage.at("path2/old.qcow2"));
  });

  it("on the moved overlay of strategy snapshot before its commit is named, and no message says to start the guest without it", async () => {
    const up = () => stage.moves({ domain: domain(), strategy, restartDuringMove });
    await cutAt("block-commit", up);
    const moved = await stage.operator.activeImage("vda");
    assert(moved.startsWith(stage.at("path2")), moved);
    const node = await put();
    await isNamed(moved, up);
    await takeOverlay(stage.operator, node);
    assert.equal((await up()).vda?.phase, "settled");
    await endsAt(stage.at("path2/old.qcow2"));
  });

  it("right before the freeze of strategy snapshot leaves `current` at the image below it, not at the move's empty overlay", async () => {
    const up = () => stage.moves({ domain: domain(), strategy, restartDuringMove });
    let node = "";
    proxy.before("transaction", async () => {
      node = await put();
      return "forward" as const;
    });
    await assert.rejects(up(), Unfinished);
    const [manifest = ""] = await manifestsIn(stage.at("path1"));
    const { current } = JSON.parse(await readFile(stage.at("path1", manifest), "utf8")) as { current: string };
    assert.equal(current, stage.at("path1/old.qcow2"));
    await isNamed(stage.at("path1/old.qcow2"), up);
    await takeOverlay(stage.operator, node);
    assert.equal((await up()).vda?.phase, "settled");
    await endsAt(stage.at("path2/old.qcow2"));
  });

  it("on the overlay of a mirrored snapshot whose run was cut is named by the next run, and not taken for that overlay", async () => {
    await precreate(stage);
    const settings = snapshotArguments(stage, { domain: domain(), reuseExternal: true });
    await cutAt("blockdev-mirror", () => makeSnapshot(settings));
    const node = await put();
    await isNamed(stage.at("path1/old.migrate"), () => makeSnapshot(settings));
    await takeOverlay(stage.operator, node);
    const { outputs } = await makeSnapshot(settings);
    await copyLayers(stage);
    await endSnapshot(outputs, "pivot");
    await endsAt(stage.at("path2/new.qcow2"));
  });
});

describe("a backing chain", function () {
  this.timeout(180_000);
  let stage: Stage;
  beforeEach(async () => {
    stage = await Stage.open();
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  it("is refused before a move begins if a layer's name leads to another file than QEMU has open", async () => {
    const common = stage.at("path1/common.qcow2");
    await rename(common, stage.at("path1/common.before"));
    await copyFile(stage.at("path1/common.before"), common);
    await writeInto(common);
    await assert.rejects(stage.moves(), /its layer .*common\.qcow2 is another file than the one that QEMU has open under that name/);
  });

  it("that somebody's pull shortens in the middle of a move is named before the mirror begins, and the move can be undone", async () => {
    const settings = { maxBytesPerSecond: 16_000_000 };
    await assert.rejects(stopAt("copying", stage, settings), Unfinished);
    await stage.operator.execute("block-stream", { "job-id": "theirs", device: await stage.operator.activeNode("vda") });
    const isOver = async () => ((await stage.operator.execute("query-jobs")) as unknown[]).length === 0 || undefined;
    await until(60, isOver, () => "The pull does not end.");
    await assert.rejects(stage.moves(), (thrown) => {
      assert(thrown instanceof Error);
      const [old, common] = [stage.at("path1/old.qcow2"), stage.at("path1/common.qcow2")];
      const words = `its chain is ${old} (qcow2), and this move expects the files ${old} (qcow2) ← ${common} (qcow2)`;
      assert(thrown.message.includes(words), thrown.message);
      return true;
    });
    await storageMigration.delete("id", storageMigration.check({}, stage.arguments).inputs, new Recorder());
    assert.deepEqual(await readdir(stage.at("path2")), []);
    await stage.guest.waitForRecords(10);
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path1/old.qcow2"));
  });
});

import assert from "node:assert/strict";
import { copyFile, rename } from "node:fs/promises";
import path from "node:path";
import { checkImage } from "./check.js";
import { run } from "./command.js";
import type { Guest } from "./guest.js";
import { Operator } from "./operator.js";
import { createSandbox, type Sandbox } from "./sandbox.js";

/** Design 3.4, played by hand: that the check finds what a wrong switch loses, and nothing after a right one. */
describe("a mirror by hand", function () {
  this.timeout(180_000);
  let sandbox: Sandbox;
  let guest: Guest;
  let source: string;
  let destination: string;

  beforeEach(async () => {
    sandbox = await createSandbox("mirror");
    guest = await sandbox.startGuest();
    source = path.join(sandbox.folder, "guest/path1");
    destination = path.join(sandbox.folder, "guest/path2");
    await copyFile(path.join(source, "common.qcow2"), path.join(destination, "common.qcow2"));
  });
  afterEach(() => sandbox?.dispose());

  it("killed at READY is whole at the source, and found wanting at the destination", async () => {
    await using operator = await mirror();
    await operator.waitForJob("by-hand", "ready");
    await guest.waitForRecords(20);
    await guest.kill();
    const target = await checkImage(path.join(destination, "old.qcow2"), guest.disk());
    assert.ok(target.lost.length > 0, JSON.stringify(target));
    const { lost, corrupt } = await checkImage(path.join(source, "old.qcow2"), guest.disk());
    assert.deepEqual([lost, corrupt], [[], []]);
  });

  it("finalized out of PENDING is whole at the destination, while the old image only grows old", async () => {
    await switched();
    const { lost, corrupt } = await checkImage(path.join(destination, "old.qcow2"), guest.disk());
    assert.deepEqual([lost, corrupt], [[], []]);
    const stale = await checkImage(path.join(source, "old.qcow2.stale"), guest.disk());
    assert.ok(stale.lost.length >= 20 && stale.corrupt.length === 0, JSON.stringify(stale));
  });

  it("leaves a guest that boots from the destination and numbers on", async () => {
    await switched();
    const last = guest.acknowledged();
    await guest.boot({ vda: path.join(destination, "old.qcow2") });
    assert.ok(guest.acknowledged() > last);
    const images = (await guest.openFiles()).filter((file) => file.endsWith(".qcow2"));
    assert.deepEqual(
      images,
      ["common.qcow2", "old.qcow2"].map((name) => path.join(destination, name)),
    );
    await guest.stop();
    const { lost, corrupt } = await checkImage(path.join(destination, "old.qcow2"), guest.disk());
    assert.deepEqual([lost, corrupt], [[], []]);
  });

  /** The guest has written to the destination, and was killed. */
  async function switched(): Promise<void> {
    await using operator = await mirror();
    await operator.waitForJob("by-hand", "ready");
    await guest.waitForRecords(20);
    await operator.execute("job-complete", { id: "by-hand" });
    await operator.waitForJob("by-hand", "pending");
    await rename(path.join(source, "old.qcow2"), path.join(source, "old.qcow2.stale"));
    await operator.execute("job-finalize", { id: "by-hand" });
    await operator.waitForJob("by-hand", "concluded");
    await operator.execute("job-dismiss", { id: "by-hand" });
    await guest.waitForRecords(20);
    assert.equal(await operator.activeImage("vda"), path.join(destination, "old.qcow2"));
    await guest.kill();
  }

  async function mirror(): Promise<Operator> {
    const target = path.join(destination, "old.qcow2");
    await run("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "common.qcow2", "-F", "qcow2", target]);
    const operator = await Operator.connect(guest.operatorSocket);
    const file = { driver: "file", filename: target, discard: "unmap" };
    await operator.execute("blockdev-add", { "node-name": "target", driver: "qcow2", discard: "unmap", file });
    const endings = { "auto-finalize": false, "auto-dismiss": false };
    await operator.execute("blockdev-mirror", { "job-id": "by-hand", device: "vda-old", target: "target", sync: "top", ...endings });
    return operator;
  }
});

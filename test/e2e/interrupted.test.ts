import assert from "node:assert/strict";
import { cutPlaces, cutUp } from "./cuts.js";
import { assertNothingLost, assertSettledAt, assertWritesOn, look } from "./reality.js";
import { openStage, resourceIn } from "./stage.js";

const { beforeComplete, copy, mirror } = cutPlaces;

describe("a run that does not come to its end", function () {
  this.timeout(300_000);

  it("is gone on with by the next up if it was a create and was killed", async () => {
    await using stage = await openStage("create", { kind: "DomainDisk", monitor: "proxied" });
    const { state } = await cutUp(stage, "path2", beforeComplete, "provider");
    assert.ok(!state.deployment.resources.some(({ urn }) => urn.endsWith("::web")));
    await assertWritesOn(stage);
    assert.equal(resourceIn(await stage.must("up", "path2")).inputs.storage, stage.at("path2"));
    await assertSettledAt(stage, "path2", ["path1"]);
    await assertNothingLost(stage, stage.at("path2", "old.qcow2"));
  });

  it("is in the state, is not forgotten while the guest is down, and is undone by destroy, if it was a create whose guest ended", async () => {
    await using stage = await openStage("create", { kind: "DomainDisk", monitor: "proxied" });
    const before = await look(stage);
    const known = resourceIn(await cutUp(stage, "path2", beforeComplete, "QEMU"));
    assert.match(known.id, /^[0-9a-f-]+\/.*vda/);
    const refused = await stage.run("destroy", "path2");
    assert.match(refused.output, /Unable to end the move of vda .* current: .*path1\/old\.qcow2\. Start the guest from there/);
    await stage.guest.boot();
    await stage.must("destroy", "path2");
    assert.deepEqual(await look(stage), before);
    await assertNothingLost(stage, stage.at("path1", "old.qcow2"));
  });

  it("is undone if its disk is wanted elsewhere by then, and the disk is moved there", async () => {
    await using stage = await openStage("mind", { kind: "StorageMigration", through: "link", monitor: "direct" });
    await stage.must("up", "path1");
    await cutUp(stage, "path2", mirror, "provider");
    await stage.must("up", "path3");
    await assertSettledAt(stage, "path3", ["path1"]);
    await assertNothingLost(stage, stage.at("path3", "old.qcow2"));
  });

  it("says so if it was told to stop, and is gone on with by the next up", async () => {
    await using stage = await openStage("stopped", { kind: "StorageMigration", through: "link", monitor: "direct" });
    await stage.must("up", "path1");
    const before = await look(stage);
    const engine = new AbortController();
    const over = new AbortController();
    const watching = copy.watch(stage, "path2", async () => engine.abort(), over.signal);
    const ended = await stage.run("up", "path2", { signal: engine.signal }, copy.more);
    over.abort();
    await watching;
    assert.ok(!ended.ok && engine.signal.aborted, ended.output);
    assert.match(ended.output, /it was stopped after .* Run `pulumi up` again to go on from there/);
    assert.deepEqual((await look(stage)).nodes, before.nodes);
    await stage.must("up", "path2");
    await assertSettledAt(stage, "path2", ["path1"]);
    await assertNothingLost(stage, stage.at("path2", "old.qcow2"));
  });

  it("leaves a guest that writes on if it falls silent in the switch, and is tidied by the next up", async () => {
    await using stage = await openStage("silent", { kind: "StorageMigration", through: "link", monitor: "proxied" });
    await stage.must("up", "path1");
    let pid = 0;
    let silence: Promise<void> | undefined;
    stage.proxy.before("job-complete", () => {
      process.kill(pid, "SIGSTOP"); // as a machine that hangs: its connection stays, and says nothing
      silence = assertWritesOn(stage).finally(() => process.kill(pid, "SIGKILL"));
      return "forward";
    });
    const ended = await stage.run("up", "path2", { onProviderStarted: (started) => (pid = started) });
    assert.ok(!ended.ok && silence, ended.output);
    await silence;
    await stage.must("up", "path2");
    await assertSettledAt(stage, "path2", ["path1"]);
    await assertNothingLost(stage, stage.at("path2", "old.qcow2"));
  });
});

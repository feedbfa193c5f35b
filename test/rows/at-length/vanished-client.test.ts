/** A client that vanishes in the switch without a word, not even of its network: nobody on the host is told, and the guest's I/O waits. */

import assert from "node:assert/strict";
import { readlink, symlink } from "node:fs/promises";
import { Runner } from "../../adversity/runner.js";
import { until } from "../../sandbox/command.js";
import { oneLayer } from "../../sandbox/disks.js";
import { Network } from "../../sandbox/network.js";
import { Stage } from "../../storage-migration/stage.js";
import { image, SlowSwitch } from "../slow-switch.js";

describe("a client that vanishes with its network while the job is pending", function () {
  this.timeout(240_000);

  it("leaves a host that ends the switch by itself and lets go after 30 s, also by sudo, and the next up from elsewhere ends the move", async () => {
    await using network = await Network.open();
    const stage = await Stage.open({
      disks: async (at) => {
        await symlink(at("path1"), at("link"));
        return [{ storage: at("path1"), through: at("link"), layers: oneLayer(image) }];
      },
      sshd: { settings: { ListenAddress: network.here } },
    });
    await using slow = await SlowSwitch.of(stage, stage.at("link"));
    const host = { ...stage.sandbox.host, address: network.here, privilege: "sudo" };
    const settings = { ...stage.arguments, host, link: stage.at("link"), domain: { qmp: slow.proxy.path } };
    const runner = new Runner(settings, network.words);
    const vanished = Promise.withResolvers<void>();
    slow.atPending(async () => {
      await network.cut();
      await runner.kill();
      vanished.resolve();
    });
    await Promise.race([vanished.promise, runner.ending.then((end) => assert.fail(`It ended before: ${JSON.stringify(end)}`))]);
    await stage.guest.waitForRecords(5, 10);
    assert.equal(await readlink(stage.at("link")), stage.at("path2"));
    const isEnded = async () => (await stage.sandbox.sshd.servedPids()).length === 0 || undefined;
    await until(45, isEnded, () => "The program on the host still waits for its client.");
    const { vda } = await stage.moves(settings);
    assert.equal(vda?.phase, "settled");
    await stage.guest.waitForRecords(5);
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path2", image));
  });
});

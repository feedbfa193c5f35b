import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { GuestNotRunning, MonitorBusy } from "../../../provider/hypervisor/hypervisor.js";
import { QmpSession } from "../../../provider/hypervisor/qemu/client.js";
import { openGuest } from "../../../provider/hypervisor/qemu/guest.js";
import { host, overSsh } from "../../host/hosts.js";
import { run } from "../../sandbox/command.js";
import { connectHost } from "../../world.js";
import { Workbench } from "./bare-guest.js";
import { LocalHost } from "./local-host.js";
import { activeImage, pivot, startMirror, target, twoPlaces } from "./mirror-steps.js";

const roads: Record<string, Record<string, string>> = {
  "an sshd as it comes": {},
  "an sshd that forbids forwarding": { AllowStreamLocalForwarding: "no" },
};

for (const [road, settings] of Object.entries(roads)) {
  describe(`a guest over SSH through ${road}`, function () {
    overSsh(this);

    it("is mirrored and pivots", async () => {
      await using bench = await Workbench.create();
      await twoPlaces(bench);
      const started = await bench.start(["-drive", `file=${bench.at("a/top.qcow2")},format=qcow2,if=virtio`]);
      const guest = openGuest((await host({ settings })).host, { qmp: started.socket });
      await startMirror(guest, bench);
      await pivot(guest, bench);
      assert.equal(activeImage(await guest.look()).activeNode, target);
      assert.equal((await guest.process())?.pid, started.pid);
      guest.close();
      await started.kill();
      await run("qemu-img", ["compare", bench.at("a/top.qcow2"), bench.at("b/top.qcow2")]);
    });

    it("that is stopped, or busy with another client, is told apart", async () => {
      await using bench = await Workbench.create();
      const started = await bench.start([]);
      const guest = openGuest((await host({ settings })).host, { qmp: started.socket });
      const other = await QmpSession.open({ worker: await new LocalHost().worker(), socket: started.socket, name: "another program's" });
      await assert.rejects(guest.look(), (error) => error instanceof MonitorBusy);
      other.close();
      await guest.look();
      guest.close();
      await started.kill();
      await assert.rejects(guest.look(), (error) => error instanceof GuestNotRunning && /nobody listens/.test(error.message));
      await rm(started.socket);
      await assert.rejects(guest.look(), (error) => error instanceof GuestNotRunning && /no such socket/.test(error.message));
    });

    it("is one session for two resources that each connect", async () => {
      await using bench = await Workbench.create();
      const started = await bench.start([]);
      const first = await host({ settings });
      const again = await connectHost(first.args, {});
      const guests = [first.host, again].map((each) => openGuest(each, { qmp: started.socket }));
      const views = await Promise.all(guests.map((guest) => guest.look()));
      assert.equal(views[0]?.domainId, views[1]?.domainId);
      for (const guest of guests) guest.close();
    });
  });
}

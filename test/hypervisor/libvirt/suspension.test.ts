import assert from "node:assert/strict";
import { escaped } from "../../../provider/core/xml-text.js";
import type { Guest } from "../../../provider/hypervisor/hypervisor.js";
import { letGo } from "../../../provider/hypervisor/libvirt/resuming.js";
import { endLine } from "../../../provider/hypervisor/libvirt/suspension.js";
import { virshAt } from "../../../provider/hypervisor/libvirt/virsh.js";
import { command } from "../../../provider/hypervisor/libvirt/words.js";
import { until } from "../../sandbox/command.js";
import { thisWorld } from "../../world.js";
import { Bench } from "./bench.js";

describe("the record of a guest that is suspended for a switch", function () {
  this.timeout(180_000);
  let bench: Bench;
  before(async () => {
    bench = await Bench.open();
  });
  after(() => bench[Symbol.asyncDispose]());

  const lock = `/a "quoted" & <strange> it's name/pulumi-livedisk-01234567.lock`;
  /** As the worker tells it to virsh. */
  const recordLine = (domain: string) => {
    const element = `<suspended switchLock='${escaped(lock)}'/>`;
    return command("metadata --live --uri urn:pulumi-livedisk:switch --key livedisk", "--domain", domain, "--set", element);
  };
  const state = async (name: string) => (await bench.libvirtd.virsh("domstate", name)).trim();
  const goesOn = async (guest: Guest) => {
    const { domainId, disks } = await guest.look();
    const virsh = await virshAt(bench.host, bench.libvirtd.uri);
    return letGo(virsh, domainId, { disk: disks[0]?.qdev ?? "", deadline: thisWorld.clock() + 60 });
  };
  const records = async (guest: Guest) => {
    const [reply] = await (await virshAt(bench.host, bench.libvirtd.uri)).ask([recordLine((await guest.look()).domainId)]);
    assert(reply && "text" in reply, JSON.stringify(reply));
  };

  it("outlives libvirtd, and goes when the guest runs again", async () => {
    const guest = await bench.define("recorded");
    await records(guest);
    await bench.libvirtd.kill();
    await bench.libvirtd.launch();
    // virsh refuses the first question after it has reconnected
    const view = await until(
      60,
      () => guest.look().catch(() => undefined),
      () => "libvirtd does not answer.",
    );
    assert.deepEqual(view.suspension, { switchLock: lock });
    await goesOn(guest);
    assert.equal(await state("recorded"), "running");
    assert.equal((await guest.look()).suspension, undefined);
    await goesOn(guest); // what a run does that was cut before it ended the record
    assert.equal(await state("recorded"), "running");
  });

  it("comes back with a guest that was saved suspended, and goes when that runs again", async () => {
    const guest = await bench.define("saved");
    await records(guest);
    for (const verb of ["suspend", "managedsave", "start"]) await bench.libvirtd.virsh(verb, "saved");
    assert.equal((await bench.libvirtd.virsh("domstate", "--reason", "saved")).trim(), "paused (migrating)");
    assert.deepEqual((await guest.look()).suspension, { switchLock: lock });
    assert.match(await goesOn(guest), /^running/);
    assert.equal(await state("saved"), "running");
    assert.equal((await guest.look()).suspension, undefined);
  });

  it("does not outlive the guest: one that is started, and paused by an operator, has none", async () => {
    const guest = await bench.define("started");
    await records(guest);
    await bench.libvirtd.virsh("destroy", "started");
    await bench.libvirtd.virsh("start", "--paused", "started");
    const { suspension, status } = await guest.look();
    assert.deepEqual({ suspension, status }, { suspension: undefined, status: "paused" });
  });

  it("may be ended twice", async () => {
    const guest = await bench.define("ended");
    await records(guest);
    const line = endLine((await guest.look()).domainId);
    const replies = await (await virshAt(bench.host, bench.libvirtd.uri)).ask([line, line]);
    assert(replies.every((reply) => "text" in reply));
    assert.equal((await guest.look()).suspension, undefined);
  });
});

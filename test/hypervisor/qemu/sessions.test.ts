import assert from "node:assert/strict";
import { chmod, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { isKind } from "../../../provider/core/errors.js";
import { GuestNotRunning, MonitorBusy } from "../../../provider/hypervisor/hypervisor.js";
import { QmpSession } from "../../../provider/hypervisor/qemu/client.js";
import { openGuest } from "../../../provider/hypervisor/qemu/guest.js";
import { until } from "../../sandbox/command.js";
import { type BareGuest, Workbench } from "./bare-guest.js";
import { LocalHost } from "./local-host.js";
import { emptyGuest, ScriptedMonitor } from "./scripted-monitor.js";

/** Whether another program gets the monitor. */
async function isFree(started: BareGuest): Promise<boolean> {
  try {
    const worker = await new LocalHost().worker();
    (await QmpSession.open({ worker, socket: started.socket, name: "another program's" })).close();
    return true;
  } catch (error) {
    if (error instanceof MonitorBusy) return false;
    throw error;
  }
}

describe("the way to a monitor", () => {
  let bench: Workbench;
  let started: BareGuest;

  beforeEach(async () => {
    bench = await Workbench.create();
    await bench.image("disk.qcow2");
    started = await bench.start(["-drive", "file=disk.qcow2,format=qcow2,if=virtio"]);
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  it("is one session for all who mean the same guest, whatever they call it", async () => {
    await symlink(bench.folder, `${bench.folder}-link`);
    bench.defer(() => rm(`${bench.folder}-link`));
    const other = new LocalHost();
    const again = openGuest(started.host, { qmp: started.socket });
    const linked = openGuest(other, { qmp: path.join(`${bench.folder}-link`, "qmp.sock") });
    await Promise.all([started.guest.look(), again.look(), linked.look(), again.jobs()]);
    assert.equal((await other.worker()).held.size, 1);
  });

  it("is given back at once on close, and opened again by the next question", async () => {
    await started.guest.look();
    started.guest.close();
    const start = Date.now();
    assert.equal(await isFree(started), true);
    assert.ok(Date.now() - start < 900, "it waited for the idle time");
    await started.guest.look();
  });

  it("is given back when nobody has used it for a second", async () => {
    await started.guest.jobs();
    assert.equal(await isFree(started), true); // its greeting came within two seconds
  }).timeout(10_000);

  it("is kept while work lasts that asks nothing, also when it is closed meanwhile", async () => {
    await started.guest.jobs();
    const work = started.guest.wakeUp(4);
    await started.guest.jobs();
    started.guest.close();
    assert.equal(await isFree(started), false);
    await work;
    assert.equal(await isFree(started), true);
  }).timeout(15_000);

  it("answers a busy monitor in words, and serves again once it is free", async () => {
    await started.guest.jobs();
    const held = started.guest.wakeUp(4);
    assert.equal(await isFree(started), false);
    await held;
    started.guest.close();
    assert.equal(await isFree(started), true);
  }).timeout(15_000);

  it("opens anew after QEMU went and came back", async () => {
    const first = await started.guest.look();
    await started.kill();
    await assert.rejects(started.guest.look(), (error) => error instanceof GuestNotRunning && /nobody listens/.test(error.message));
    await rm(started.socket);
    await assert.rejects(started.guest.look(), (error) => error instanceof GuestNotRunning && /no such socket/.test(error.message));
    const restarted = await bench.start(["-drive", "file=disk.qcow2,format=qcow2,if=virtio"]);
    assert.equal((await started.guest.look()).domainId, first.domainId);
    await restarted.kill();
  });

  it("refuses what is no socket", async () => {
    await writeFile(bench.at("file"), "");
    await assert.rejects(
      openGuest(started.host, { qmp: bench.at("file") }).look(),
      (error) => isKind(error, "user") && /this is not a socket/.test(error.message),
    );
  });
});

describe("looks that come together", () => {
  it("are answered by one, and cost five questions, later ones four; chains alone three", async () => {
    await using monitor = await ScriptedMonitor.start(({ execute }) => ({ return: emptyGuest[execute] }));
    const guests = [1, 2, 3].map(() => openGuest(new LocalHost(), { qmp: monitor.socket }));
    const cost = async (ask: () => Promise<unknown>) => {
      const before = monitor.heard.length;
      await ask();
      return monitor.heard.length - before;
    };
    assert.equal(await cost(() => Promise.all(guests.map((guest) => guest.jobs()))), 1 + 3);
    assert.equal(await cost(() => Promise.all(guests.map((guest) => guest.look()))), 5);
    assert.equal((await guests[0]?.look())?.domainId, "5a9e7c6e-0000-4000-8000-000000000001");
    assert.equal(await cost(() => Promise.all(guests.map((guest) => guest.look()))), 4);
    assert.equal(await cost(() => Promise.all(guests.map((guest) => guest.lookAtChains()))), 3);
    assert.equal(monitor.clients, 1);
    guests[0]?.close();
  });

  it("never answer with what was seen before the question", async () => {
    let status = "running";
    let release = () => {};
    await using monitor = await ScriptedMonitor.start(async ({ execute }) => {
      if (execute !== "query-status") return { return: emptyGuest[execute] };
      const answer = { return: { status } };
      if (status === "running")
        await new Promise<void>((resolve) => {
          release = resolve;
        });
      return answer;
    });
    const guest = openGuest(new LocalHost(), { qmp: monitor.socket });
    const first = guest.look();
    await until(
      60,
      () => (monitor.heard.includes("query-status") ? "asked" : undefined),
      () => "never asked",
    );
    status = "paused";
    const second = guest.look();
    release();
    assert.deepEqual([(await first).status, (await second).status], ["running", "paused"]);
    guest.close();
  });

  it("fail together, and the next one asks anew", async () => {
    let answers = 0;
    await using monitor = await ScriptedMonitor.start(({ execute }, socket) => {
      if (answers++ === 0) return void socket.destroy();
      return { return: emptyGuest[execute] };
    });
    const guest = openGuest(new LocalHost(), { qmp: monitor.socket });
    const ends = await Promise.allSettled([guest.look(), guest.look()]);
    assert.ok(ends.every((end) => end.status === "rejected" && isKind(end.reason, "unreachable")));
    assert.equal((await guest.look()).status, "running");
    assert.equal(monitor.clients, 2);
    guest.close();
  });
});

describe("waking up", () => {
  it("comes with an event, also with one since the last look, else with the deadline", async () => {
    await using bench = await Workbench.create();
    const { guest } = await bench.start(["-monitor", "none"]);
    await guest.look();
    const quiet = Date.now();
    await guest.wakeUp(0.3);
    assert.ok(Date.now() - quiet >= 290);
    await using monitor = await ScriptedMonitor.start(({ execute, id }) =>
      execute === "query-block-jobs" ? `{"return": [], "id": "${id}"}\n{"event": "JOB_STATUS_CHANGE"}\n` : { return: [] },
    );
    const scripted = openGuest(new LocalHost(), { qmp: monitor.socket });
    await scripted.jobs();
    const start = Date.now();
    await scripted.wakeUp(30);
    assert.ok(Date.now() - start < 5000);
    scripted.close();
  });
});

describe("a socket that we may not reach", () => {
  it("is not taken for a guest that is gone", async () => {
    await using bench = await Workbench.create();
    await chmod(bench.folder, process.getuid?.() === 0 ? 0o700 : 0o000);
    const hidden = openGuest(new LocalHost("nobody"), { qmp: path.join(bench.folder, "below", "qmp.sock") });
    await assert.rejects(hidden.look(), (error) => isKind(error, "user") && /may not open it/.test(error.message));
    await chmod(bench.folder, 0o700);
    const visible = openGuest(new LocalHost(), { qmp: path.join(bench.folder, "below", "qmp.sock") });
    await assert.rejects(visible.look(), (error) => error instanceof GuestNotRunning);
  });
});

/** The fence of a run: its host's worker is one and the same, or there is none. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { isKind } from "../../provider/core/errors.js";
import { OneWorker } from "../../provider/host/one-worker.js";
import { writeFile as writeOnHost } from "../../provider/host/worker/changes.js";
import type { Worker } from "../../provider/host/worker/worker.js";
import { GuestNotRunning } from "../../provider/hypervisor/hypervisor.js";
import { openGuest } from "../../provider/hypervisor/qemu/guest.js";
import { Locks, withLocks } from "../../provider/journal/lock.js";
import { emptyGuest, ScriptedMonitor } from "../hypervisor/qemu/scripted-monitor.js";
import { key, wait } from "../journal/lock-scene.js";
import { until } from "../sandbox/command.js";
import { killQuietly, mourn, watchOver } from "../sandbox/processes.js";
import { thisWorld } from "../world.js";
import { ownHost } from "./own-host.js";
import { localWorker, scratch, undoLater, withWorkers } from "./worker/harness.js";

const hasEnded = (worker: Worker) =>
  until(
    20,
    () => worker.ended,
    () => "the worker has not ended",
  );

async function killed(worker: Worker): Promise<void> {
  killQuietly(worker.hello.pid);
  await hasEnded(worker);
}

const hasNone = (thrown: unknown) => isKind(thrown, "unreachable") && /The worker on here ended/.test(thrown.message);

describe("a host while a run holds locks there", function () {
  withWorkers(this);

  it("has one worker for all who ask, and keeps it although nothing is asked", async () => {
    const host = ownHost();
    await host.withOneWorker(async (worker) => {
      assert.equal(await host.worker(), worker);
      await host.withOneWorker(async (other) => assert.equal(other, worker));
      assert.equal(worker.isIdle, false);
    });
    assert.equal((await host.worker()).isIdle, true);
  });

  it("has another worker where one has ended and no run is at work", async () => {
    const host = ownHost();
    const first = await host.worker();
    await killed(first);
    assert.notEqual(await host.worker(), first);
    assert.equal((await host.run("echo again")).stdout, "again\n");
  });

  it("has none once its worker was killed, until the last of these runs is over; a run that comes later has one", async () => {
    const host = ownHost();
    const inner = Promise.withResolvers<void>();
    const outer = host.withOneWorker(() => inner.promise);
    await host.withOneWorker(async (worker) => {
      await killed(worker);
      await assert.rejects(host.run("echo"), hasNone);
    });
    await assert.rejects(host.worker(), hasNone);
    inner.resolve();
    await outer;
    await host.withOneWorker(async () => assert.equal((await host.run("echo later")).stdout, "later\n"));
  });

  it("has one again after a worker that could not be opened", async () => {
    let tries = 0;
    const worker = await localWorker();
    const one = new OneWorker(async () => (tries++ === 0 ? Promise.reject(new Error("no session free")) : worker));
    await assert.rejects(
      one.during(async () => assert.fail("it has no worker")),
      /no session free/,
    );
    assert.equal(await one.during(async (found) => found), worker);
  });
});

describe("a run whose worker was killed in the middle", function () {
  withWorkers(this);

  it("cannot do anything more, and not command through the session of another run; that one can", async () => {
    await using monitor = await ScriptedMonitor.start(({ execute }) => ({ return: emptyGuest[execute] ?? {} }));
    const folder = await scratch();
    const [first, second] = [ownHost(), ownHost()];
    const [struck, later] = [first, second].map((host) => openGuest(host, { qmp: monitor.socket }));
    assert(struck && later);
    await withLocks(first, async (locks) => {
      await locks.take(folder, key, wait());
      await struck.look();
      const worker = await first.worker();
      await killed(worker);
      await withLocks(second, async (others) => {
        await others.take(folder, key, wait());
        assert.equal((await later.look()).status, "running");
        const kept = later.wakeUp(3); // its session is open as long
        const heard = monitor.heard.length;
        const acts: Promise<unknown>[] = [
          struck.cancel("job"),
          struck.look(),
          struck.jobs(),
          first.run('touch "$1"', [path.join(folder, "planted")]),
        ];
        acts.push(writeOnHost(worker, { path: path.join(folder, "new") }, { content: Buffer.from("x"), mode: 0o600 }));
        for (const { status } of await Promise.allSettled(acts)) assert.equal(status, "rejected");
        assert.equal(monitor.heard.length, heard);
        await kept;
        await assert.rejects(locks.check(), hasNone);
        await others.check();
        assert.deepEqual(await readdir(folder), [`lm-${key}.lock`]);
      });
    });
    await withLocks(first, async (locks) => {
      await locks.take(folder, key, wait());
      assert.equal((await struck.look()).status, "running");
    });
  });

  it("has a session of its own by its own worker, where another worker has one that nobody uses", async () => {
    await using monitor = await ScriptedMonitor.start(({ execute }) => ({ return: emptyGuest[execute] ?? {} }));
    for (const host of [ownHost(), ownHost()]) {
      await host.withOneWorker(async (worker) => {
        assert.equal((await openGuest(host, { qmp: monitor.socket }).look()).status, "running");
        assert.equal(worker.held.size, 2);
      });
    }
  });

  it("is not told of a guest that is gone", async () => {
    const host = ownHost();
    await host.withOneWorker(async (worker) => {
      await killed(worker);
      await assert.rejects(openGuest(host, { qmp: "/nowhere/qmp.sock" }).look(), (thrown) => !(thrown instanceof GuestNotRunning));
    });
  });
});

const saysThatItSlept =
  /^The worker on here ended, and its locks with it, while this run was asleep for \d+ s: another run may have been at work/;

describe("a run whose process is stopped", function () {
  withWorkers(this);

  it("loses its lock after the silence, and when it wakes says so of all that it does", async () => {
    const folder = await scratch();
    const program = [path.join(__dirname, "sleeper.js"), folder, key];
    const sleeper = watchOver(spawn(process.execPath, program, { stdio: ["pipe", "pipe", "inherit"] }), "a client");
    undoLater(() => mourn(sleeper, "SIGKILL"));
    assert(sleeper.stdin && sleeper.stdout);
    const lines = createInterface({ input: sleeper.stdout })[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, "taken");
    const text = await readFile(path.join(folder, `lm-${key}.lock`), "utf8");
    await assert.rejects(
      new Locks(await localWorker(), { world: thisWorld, patienceSeconds: 0, stateDirectory: "/nowhere" }).take(folder, key, wait()),
      /another run holds the lock/,
    );
    sleeper.kill("SIGSTOP");
    sleeper.stdin.write("go on\n");
    const next = new Locks(await localWorker(), { world: thisWorld, patienceSeconds: 30, stateDirectory: "/nowhere" });
    undoLater(() => next.release());
    // its process is alive, so it is refused and not waited for
    await until(
      20,
      () =>
        next.take(folder, key, wait()).then(
          () => "taken",
          (reason: unknown) => (isKind(reason, "user") ? undefined : Promise.reject(reason)),
        ),
      () => "the lock of a process that is stopped does not end",
    );
    assert.notEqual(await readFile(path.join(folder, `lm-${key}.lock`), "utf8"), text);
    sleeper.kill("SIGCONT");
    const ended: unknown = JSON.parse(String((await lines.next()).value));
    assert(Array.isArray(ended) && ended.length === 2 && ended.every((end) => saysThatItSlept.test(String(end))), String(ended));
    await once(sleeper, "exit");
    await next.check();
    assert.deepEqual(await readdir(folder), [`lm-${key}.lock`]);
  });
});

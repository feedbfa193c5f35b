/** The lock that keeps two runs apart, over a real sshd. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { isKind } from "../../provider/core/errors.js";
import { type Holder, holderIs, newHolder } from "../../provider/journal/holder.js";
import { Locks, withLocks } from "../../provider/journal/lock.js";
import { HeldPlaces } from "../../provider/reconciler/held-places.js";
import { hasEnded, localWorker, localWorkerProcess, undoLater, withWorkers } from "../host/worker/harness.js";
import { host, overSsh } from "../image/ssh-host.js";
import { until } from "../sandbox/command.js";
import { killQuietly } from "../sandbox/processes.js";
import { thisWorld } from "../world.js";

const key = "0a1b2c3d";
const stateDirectory = "/nowhere";

describe("the lock of a disk", function () {
  overSsh();
  withWorkers(this);
  let folder = "";
  const file = () => path.join(folder, `lm-${key}.lock`);
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "livedisk-lock '$(touch x)-"));
    undoLater(() => rm(folder, { recursive: true }));
  });

  const newLocks = async () => {
    const locks = new Locks(await host.worker(), { world: thisWorld, stateDirectory, watchSeconds: 1 });
    undoLater(() => locks.release());
    return locks;
  };
  const take = (locks: Locks, stop = new AbortController().signal, said: (text: string) => void = () => {}) =>
    locks.take(folder, key, { said, stop });
  const elsewhere = (): Holder => ({ ...newHolder(thisWorld), machine: "another machine", name: "runner-7" });
  /** As 0.1.0 writes it. */
  async function lieThere(holder: object, ageSeconds = 0): Promise<void> {
    await writeFile(file(), `${JSON.stringify(holder)}\n`, { mode: 0o600 });
    const then = Date.now() / 1000 - ageSeconds;
    await utimes(file(), then, then);
  }
  const refusedFor = (words: RegExp) => (thrown: unknown) => isKind(thrown, "user") && words.test(thrown.message);

  it("is a file while it is held, taken twice by one run, and gone afterwards", async () => {
    const locks = await newLocks();
    await take(locks);
    await take(locks);
    assert.deepEqual(JSON.parse(await readFile(file(), "utf8")), { heldBy: locks.holder, lock: "flock" });
    await locks.release();
    assert.deepEqual(await readdir(folder), []);
  });

  it("is had by one alone of many who ask at once", async () => {
    const all = await Promise.all(Array.from({ length: 8 }, newLocks));
    const ends = await Promise.allSettled(all.map((locks) => take(locks)));
    assert.equal(ends.filter(({ status }) => status === "fulfilled").length, 1);
    for (const end of ends)
      if (end.status === "rejected") assert(refusedFor(/another run holds the lock .*Nothing was touched\./)(end.reason));
    await Promise.all(all.map((locks) => locks.release()));
    assert.deepEqual(await readdir(folder), []);
  });

  it("goes with the last manifest in one operation, and no other lock does", async () => {
    const locks = await newLocks();
    await take(locks);
    await locks.take(folder, "ffffffff", { said: () => {}, stop: new AbortController().signal });
    const manifest = path.join(folder, "manifest");
    await writeFile(manifest, "{}");
    await locks.releaseWith(manifest, key);
    assert.deepEqual(await readdir(folder), ["lm-ffffffff.lock"]);
    assert.deepEqual([locks.has(key), locks.has("ffffffff")], [false, true]);
    await locks.release();
    assert.deepEqual(await readdir(folder), []);
  });

  it("is taken again for a disk with which something is to be done after its move has ended, and for no other", async () => {
    const locks = await newLocks();
    const run = { progress: () => {}, say: () => {}, world: thisWorld, stop: new AbortController().signal, urn: "", credentials: {} };
    const places = [key, "ffffffff"].map((one, index) => ({ disk: `vd${"ab"[index]}`, key: one, directories: [folder] }));
    const held = new HeldPlaces(run, locks, places);
    await held.take();
    assert.equal(await held.takeBack(["vda", "vdb"]), false);
    for (const { key } of places) await held.giveBackWith(path.join(folder, "manifest"), key);
    assert.deepEqual(await readdir(folder), []);
    assert.equal(await held.takeBack(["vda"]), true);
    assert.deepEqual(await readdir(folder), [path.basename(file())]);
  });

  it("of a run whose worker was killed is had by the next one at once; the first changes nothing any more, and a later one does", async () => {
    const next = new Locks(await localWorker(), { world: thisWorld, patienceSeconds: 0, stateDirectory });
    await withLocks(host, async (locks) => {
      await take(locks);
      killQuietly((await host.worker()).hello.pid);
      await until(
        10,
        () =>
          host.worker().then(
            () => undefined,
            () => "ended",
          ),
        () => "the worker is there still",
      );
      await take(next);
      const planted = path.join(folder, "planted");
      const acts = [
        locks.check(),
        host.run('touch "$1"', [planted]),
        host.open('touch "$1"', [planted]),
        take(new Locks(await localWorker(), { world: thisWorld, stateDirectory })),
      ];
      for (const { status } of await Promise.allSettled(acts)) assert.equal(status, "rejected");
      await assert.rejects(host.run("echo"), (thrown) => isKind(thrown, "unreachable") && /worker on .* ended/.test(thrown.message));
    });
    assert.deepEqual(await readdir(folder), [path.basename(file())]);
    await next.check();
    await next.release();
    await withLocks(host, (locks) => take(locks));
    assert.equal((await host.run("echo later")).stdout, "later\n");
  });

  it("stays with a worker that another client has, and ends with it", async () => {
    const { worker, child } = await localWorkerProcess();
    const first = new Locks(worker, { world: thisWorld, holder: elsewhere(), stateDirectory });
    await first.take(folder, key, { said: () => {}, stop: new AbortController().signal });
    const locks = await newLocks();
    const said: string[] = [];
    await take(locks, undefined, (text) => said.push(text) === 1 && void child.kill("SIGKILL"));
    assert.equal(said[0], "waits for the lock of a run on runner-7");
    await hasEnded(child);
    assert.deepEqual(JSON.parse(await readFile(file(), "utf8")).heldBy, locks.holder);
  });

  it("of a process of this machine that is gone is taken over at once, also one that 0.1.0 wrote", async () => {
    const { pid } = spawnSync("true");
    for (const text of [
      { ...newHolder(thisWorld), pid },
      { ...newHolder(thisWorld), born: "1" },
      { heldBy: { ...newHolder(thisWorld), pid }, lock: "flock" },
    ]) {
      await lieThere(text);
      const locks = await newLocks();
      const began = performance.now();
      await take(locks);
      assert(performance.now() - began < 5000);
      await locks.release();
    }
  });

  it("of a live process, as 0.1.0 writes it, is refused however long it was silent", async () => {
    await lieThere(newHolder(thisWorld), 3600);
    await assert.rejects(take(await newLocks()), refusedFor(/another run holds the lock/));
    assert(existsSync(file()));
  });

  it("of a run of 0.1.0 elsewhere is taken over after a minute of silence, and not before", async () => {
    await lieThere(elsewhere(), 58);
    const said: string[] = [];
    const locks = await newLocks();
    await take(locks, undefined, (text) => said.push(text));
    assert.match(said.join("\n"), /^waits for the lock of a run on runner-7 that has been silent for (58|59) s/);
  });

  it("of a run of 0.1.0 elsewhere that beats is refused", async () => {
    await lieThere(elsewhere(), 30);
    const beating = take(await newLocks(), undefined, () => void lieThere(JSON.parse(JSON.stringify(elsewhere())), 0));
    await assert.rejects(beating, refusedFor(/on runner-7/));
  });

  it("is waited for no longer than the run is wanted", async () => {
    await lieThere(elsewhere(), 1);
    const stop = new AbortController();
    await assert.rejects(
      take(await newLocks(), stop.signal, () => stop.abort()),
      refusedFor(/another run holds the lock/),
    );
  });

  it("whose file somebody else has replaced is not given back", async () => {
    const locks = await newLocks();
    await take(locks);
    await rm(file());
    await lieThere(elsewhere());
    await locks.release();
    assert.match(await readFile(file(), "utf8"), /runner-7/);
  });

  it("is never taken through a symbolic link", async () => {
    await symlink(path.join(folder, "x"), file());
    await assert.rejects(take(await newLocks()), refusedFor(/Unable to lock .*\.lock is a symbolic link\. Nothing was touched/));
    assert(!existsSync(path.join(folder, "x")));
  });

  it("is refused in words where the file at its name is no lock", async () => {
    await writeFile(file(), "hello\n", { mode: 0o600 });
    await assert.rejects(
      take(await newLocks()),
      refusedFor(/Unable to read the lock .*: it is not as we write it\. If no run is under way, remove it\./),
    );
  });

  it("names nobody gone whose machine is unknown", () => {
    assert.equal(holderIs(thisWorld, { ...newHolder(thisWorld), machine: "", born: "1" }), "perhaps");
    assert.equal(holderIs(thisWorld, newHolder(thisWorld)), "alive");
  });
});

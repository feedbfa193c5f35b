/** The lock beside each manifest, on this machine: who gets it, who is refused, and what it leaves. */

import assert from "node:assert/strict";
import { chmod, chown, mkdir, readdir, stat, symlink, unlink, utimes, writeFile } from "node:fs/promises";
import { fileNames } from "../../provider/core/disk/names.js";
import { acquireLock } from "../../provider/host/worker/locks.js";
import { talkToScript } from "../../provider/host/worker/scripts.js";
import type { Worker } from "../../provider/host/worker/worker.js";
import { holderIs, newHolder } from "../../provider/journal/holder.js";
import { hasEnded, localWorker, localWorkerProcess, undoLater, withWorkers } from "../host/worker/harness.js";
import { localWorkerAs } from "../hypervisor/qemu/local-host.js";
import { run } from "../sandbox/command.js";
import { mountSmall } from "../sandbox/file-systems.js";
import { killQuietly } from "../sandbox/processes.js";
import { thisWorld } from "../world.js";
import { elsewhere, gone, key, LockScene, refusedFor, wait } from "./lock-scene.js";

const refusal = /another run holds the lock \([0-9a-f]{16}, process \d+ on .*; its lock is .*\.lock\)\. Nothing was touched/;

/** A program that the worker began, and that does not look at its input. @returns its process */
async function beginProgram(worker: Worker): Promise<number> {
  const said = Promise.withResolvers<number>();
  const listener = { stdout: (piece: Buffer) => said.resolve(Number(piece.toString())), stderr: () => {} };
  talkToScript(worker, { script: "echo $$; exec sleep 600", args: [] }, listener).exitStatus.catch(said.reject);
  const pid = await said.promise;
  undoLater(() => killQuietly(pid));
  return pid;
}

describe("the lock of a disk, on this machine", function () {
  withWorkers(this);
  let scene: LockScene;
  beforeEach(async () => {
    scene = await LockScene.open();
  });
  const at = (name: string) => scene.at(name);
  const locksIn = async (name: string) => (await readdir(at(name))).filter((file) => file.endsWith(".lock"));

  it("says who holds it when it is taken, in a file for its account alone, and is gone when it is given back", async () => {
    const locks = await scene.locks();
    await locks.takeAll([at("one"), at("two")], key, wait());
    for (const directory of ["one", "two"]) {
      assert.deepEqual(JSON.parse(await scene.text(directory)), { heldBy: locks.holder, lock: "flock" });
      assert.equal((await stat(scene.file(directory))).mode & 0o777, 0o600);
    }
    assert.deepEqual([locks.has(key), locks.has("ffffffff")], [true, false]);
    await locks.release();
    for (const directory of ["one", "two"]) assert.deepEqual(await readdir(at(directory)), []);
    assert.equal(locks.has(key), false);
  });

  it("is held by the run that asks again", async () => {
    const locks = await scene.locks();
    await locks.take(at("one"), key, wait());
    const { ino } = await stat(scene.file());
    await locks.take(at("one"), key, wait());
    assert.equal((await stat(scene.file())).ino, ino);
  });

  it("is had by one alone of several who ask at once, of one worker and of two", async () => {
    const other = await localWorker();
    const all = await Promise.all([scene.locks(), scene.locks(), scene.locks({ worker: other }), scene.locks({ worker: other })]);
    const ends = await Promise.allSettled(all.map((locks) => locks.take(at("one"), key, wait())));
    assert.equal(ends.filter(({ status }) => status === "fulfilled").length, 1);
    for (const end of ends) if (end.status === "rejected") assert(refusedFor(refusal)(end.reason), String(end.reason));
    await Promise.all(all.map((locks) => locks.release()));
    assert.deepEqual(await readdir(at("one")), []);
  });

  it("of a live process of this machine is refused at once", async () => {
    const first = await scene.locks();
    await first.take(at("one"), key, wait());
    const second = await scene.locks({ worker: await localWorker(), patienceSeconds: 600 });
    await assert.rejects(second.take(at("one"), key, wait()), refusedFor(refusal));
    assert.deepEqual(JSON.parse(await scene.text()).heldBy, first.holder);
    assert.equal(second.has(key), false);
  });

  it("of a run elsewhere is waited for and said, then had when that run gives it back", async () => {
    const first = await scene.locks({ holder: elsewhere() });
    await first.take(at("one"), key, wait());
    const second = await scene.locks({ worker: await localWorker(), patienceSeconds: 600 });
    const said: string[] = [];
    await second.take(
      at("one"),
      key,
      wait(undefined, (text) => said.push(text) === 1 && void first.release()),
    );
    assert.equal(said[0], "waits for the lock of a run on runner-7");
    assert.equal(JSON.parse(await scene.text()).heldBy.run, second.holder.run);
  });

  it("of a run elsewhere that does not end is refused in the end, with who holds it", async () => {
    const first = await scene.locks({ holder: elsewhere() });
    await first.take(at("one"), key, wait());
    const second = await scene.locks({ worker: await localWorker(), patienceSeconds: 0.1 });
    await assert.rejects(
      second.take(at("one"), key, wait()),
      refusedFor(/another run holds the lock .* on runner-7; its lock is .*\.lock/),
    );
  });

  it("of a run elsewhere is waited for no longer than the run is wanted", async () => {
    const first = await scene.locks({ holder: elsewhere() });
    await first.take(at("one"), key, wait());
    const stop = new AbortController();
    const second = await scene.locks({ worker: await localWorker(), patienceSeconds: 600 });
    const asking = second.take(
      at("one"),
      key,
      wait(stop.signal, () => stop.abort()),
    );
    await assert.rejects(asking, refusedFor(/another run holds the lock .* on runner-7/));
  });

  it("that a process holds which does not say who it is, is refused with its file", async () => {
    await acquireLock(await localWorker(), { path: scene.file() }, { waitSeconds: 0 });
    const locks = await scene.locks({ patienceSeconds: 0.1 });
    await assert.rejects(locks.take(at("one"), key, wait()), refusedFor(/another run holds the lock .*\.lock, which does not say who/));
  });

  it("of a run whose worker was killed is had by the next one at once, in the same file", async () => {
    const { worker, child } = await localWorkerProcess();
    const first = await scene.locks({ worker });
    await first.takeAll([at("one"), at("two")], key, wait());
    const { ino } = await stat(scene.file());
    child.kill("SIGKILL");
    await hasEnded(child);
    const second = await scene.locks({ patienceSeconds: 0 });
    await second.takeAll([at("one"), at("two")], key, wait());
    assert.equal((await stat(scene.file())).ino, ino);
    assert.deepEqual(JSON.parse(await scene.text()).heldBy, second.holder);
    await first.release();
    assert.deepEqual(await readdir(at("one")), [fileNames.lock(key)]);
  });

  it("stays with a program that outlives its worker, and ends with it", async () => {
    const { worker, child } = await localWorkerProcess();
    const first = await scene.locks({ worker, holder: gone() });
    await first.take(at("one"), key, wait());
    const program = await beginProgram(worker);
    child.kill("SIGKILL");
    await hasEnded(child);
    const hasty = await scene.locks({ patienceSeconds: 0.1 });
    const words = /another run holds the lock .*It has ended, but a program that it began on here goes on/;
    await assert.rejects(hasty.take(at("one"), key, wait()), refusedFor(words));
    const second = await scene.locks({ patienceSeconds: 600 });
    await second.take(
      at("one"),
      key,
      wait(undefined, () => killQuietly(program)),
    );
    assert.deepEqual(JSON.parse(await scene.text()).heldBy, second.holder);
  });

  it("ends by no clock and no age: the host's clock jumps, the file is a day old, and it is held", async () => {
    const first = await scene.locks({ holder: elsewhere() });
    await first.take(at("one"), key, wait());
    for (const seconds of [61, 86_400, -61]) {
      const then = Date.now() / 1000 - seconds;
      await utimes(scene.file(), then, then);
      const second = await scene.locks({ worker: await localWorker(), patienceSeconds: 0.1 });
      await assert.rejects(second.take(at("one"), key, wait()), refusedFor(/on runner-7/));
    }
    await first.check();
  });

  it("ends by no pid: a file that names a process which is gone is held by who has locked it", async () => {
    const first = await scene.locks({ holder: gone() });
    await first.take(at("one"), key, wait());
    const second = await scene.locks({ worker: await localWorker(), patienceSeconds: 0.1 });
    const words = /another run holds the lock .*It has ended, but a program that it began on here goes on/;
    await assert.rejects(second.take(at("one"), key, wait()), refusedFor(words));
  });

  it("whose file somebody removed is told before the next step, and the file of the run that came then stays", async () => {
    const first = await scene.locks();
    await first.takeAll([at("one"), at("two")], key, wait());
    await first.check();
    await unlink(scene.file("two"));
    const words =
      /Unable to .* on here: somebody removed .*two\/lm-.*\.lock, the lock of this run, and another run may have begun there\. Nothing more was/;
    await assert.rejects(first.check(), refusedFor(words));
    const second = await scene.locks({ worker: await localWorker() });
    await second.take(at("two"), key, wait());
    await first.release();
    assert.deepEqual([await readdir(at("one")), await readdir(at("two"))], [[], [fileNames.lock(key)]]);
    await second.check();
  });

  it("that was cut while its text was written, or by a crash of the host, is had", async () => {
    for (const text of ["", "\0\0\0\0", '{"heldBy":{"run":"0123']) {
      await scene.says(text);
      const locks = await scene.locks();
      await locks.take(at("one"), key, wait());
      await locks.release();
      assert.deepEqual(await readdir(at("one")), []);
    }
  });

  it("is never taken through a symbolic link", async () => {
    await symlink(at("x"), scene.file());
    const words = /Unable to lock .*\.lock is a symbolic link\. Nothing was touched\. If no run is under way, remove it: `rm -- /;
    await assert.rejects((await scene.locks()).take(at("one"), key, wait()), refusedFor(words));
    assert.deepEqual(await readdir(scene.folder), ["one", "two"]);
  });

  it("is never taken on a FIFO, a directory or a socket, and nobody waits for one", async () => {
    for (const make of ["mkfifo", "mkdir"]) {
      await run(make, [scene.file()]);
      await assert.rejects(
        (await scene.locks()).take(at("one"), key, wait()),
        refusedFor(/Unable to lock .*\.lock is not a regular file\. Nothing/),
      );
      await run("rm", ["-r", scene.file()]);
    }
  });

  it("is never taken on another account's file, or one that others may open", async () => {
    await scene.says("", { mode: 0o644 });
    const open =
      /Unable to lock .*\.lock may be opened by other accounts \(mode 644\)\. Nothing was touched\. If no run is under way, remove it/;
    await assert.rejects((await scene.locks()).take(at("one"), key, wait()), refusedFor(open));
    await chmod(scene.file(), 0o600);
    await chown(scene.file(), 65534, 65534);
    await assert.rejects(
      (await scene.locks()).take(at("one"), key, wait()),
      refusedFor(/\.lock belongs to another account \(65534\) than a file/),
    );
    assert.deepEqual(await readdir(at("one")), [fileNames.lock(key)]);
  });

  it("is refused, and left, where the file at its name is no lock", async () => {
    await scene.says("hello\n");
    await assert.rejects(
      (await scene.locks()).take(at("one"), key, wait()),
      refusedFor(/Unable to read the lock .*: it is not as we write it/),
    );
    assert.equal(await scene.text(), "hello\n");
  });

  it("cannot be taken in a directory that is not there", async () => {
    await assert.rejects((await scene.locks()).take(at("none"), key, wait()), refusedFor(/Unable to lock .*none on here: No such file/));
  });

  it("goes with the disk's last manifest, and no other disk's lock does", async () => {
    const locks = await scene.locks();
    for (const each of [key, "ffffffff"]) await locks.take(at("one"), each, wait());
    await writeFile(at("one/manifest"), "{}");
    await locks.releaseWith(at("one/manifest"), key);
    assert.deepEqual(await readdir(at("one")), [fileNames.lock("ffffffff")]);
    assert.deepEqual([locks.has(key), locks.has("ffffffff")], [false, true]);
  });

  it("stays where the last manifest cannot be removed", async () => {
    const locks = await scene.locks();
    await locks.take(at("one"), key, wait());
    await mkdir(at("one/manifest"));
    await assert.rejects(locks.releaseWith(at("one/manifest"), key), refusedFor(/Unable to remove .*manifest on here: Is a directory/));
    assert.equal(locks.has(key), true);
    assert.deepEqual((await readdir(at("one"))).sort(), [fileNames.lock(key), "manifest"].sort());
    await locks.check();
  });

  it("that somebody removed keeps the last manifest where it is", async () => {
    const locks = await scene.locks();
    await locks.take(at("one"), key, wait());
    await writeFile(at("one/manifest"), "{}");
    await unlink(scene.file());
    await assert.rejects(locks.releaseWith(at("one/manifest"), key), refusedFor(/somebody removed /));
    assert.deepEqual(await readdir(at("one")), ["manifest"]);
  });

  it("of the active image's directory is required, and another directory's where that is writable", async () => {
    const other = await scene.locks({ worker: await localWorker() });
    await other.take(at("two"), key, wait());
    const locks = await scene.locks();
    await assert.rejects(locks.takeAll([at("one"), at("two")], key, wait()), refusedFor(/another run holds the lock/));
    await assert.rejects((await scene.locks()).takeAll([at("none"), at("one")], key, wait()), refusedFor(/Unable to lock .*none/));
  });

  it("of another directory that this account may not write in is required, also while a move is under way", async function () {
    if (process.getuid?.() !== 0) this.skip(); // another account is needed
    for (const place of ["one", "two"]) await chown(at(place), 65534, 65534);
    await chmod(scene.folder, 0o755);
    await chmod(at("two"), 0o555);
    await writeFile(at(`one/${fileNames.manifest(key)}`), "{}");
    const locks = await scene.locks({ worker: await localWorkerAs("nobody") });
    await assert.rejects(locks.takeAll([at("one"), at("two")], key, wait()), refusedFor(/Unable to lock .*two on here: Permission denied/));
  });

  const turnReadOnly = async () => (await mountSmall({ defer: undoLater }, at("two"), { kind: "ext4", sizeMiB: 16 })).turnReadOnly();

  it("of another directory, which is read-only, is not required while a move is under way; the active image's is", async function () {
    if (process.getuid?.() !== 0) this.skip(); // to mount
    await turnReadOnly();
    const locks = await scene.locks();
    const words = /Unable to lock .*two on here: Read-only file system\. Nothing/;
    await assert.rejects(locks.takeAll([at("two"), at("one")], key, wait()), refusedFor(words));
    await writeFile(at(`one/${fileNames.manifest(key)}`), "{}");
    await locks.takeAll([at("one"), at("two")], key, wait());
    assert.deepEqual([await locksIn("two"), locks.has(key)], [[], true]);
    await locks.check();
  });

  it("of another directory, which is read-only, is required where no move is under way", async function () {
    if (process.getuid?.() !== 0) this.skip(); // to mount
    await turnReadOnly();
    const asking = (await scene.locks()).takeAll([at("one"), at("two")], key, wait());
    await assert.rejects(asking, refusedFor(/Unable to lock .*two on here: Read-only file system\. Nothing was touched/));
  });

  describe("in a directory without room", () => {
    before(function () {
      if (process.getuid?.() !== 0) this.skip(); // to mount
    });
    beforeEach(async () => {
      await mountSmall({ defer: undoLater }, at("two"), { kind: "tmpfs", sizeMiB: 1 });
      await run("sh", ["-c", 'cat /dev/zero >"$1" 2>&- || :', "sh", at("two/ballast")]);
    });
    const makeRoom = () => unlink(at("two/ballast"));

    it("is not required of another directory than the active image's", async () => {
      const locks = await scene.locks();
      await locks.takeAll([at("one"), at("two")], key, wait());
      assert.deepEqual([await locksIn("one"), await locksIn("two")], [[fileNames.lock(key)], []]);
      await locks.check();
    });

    it("lies in the state directory, which is the account's alone, and is gone from there when it is given back", async () => {
      const locks = await scene.locks();
      await locks.takeAll([at("two"), at("one")], key, wait());
      assert.deepEqual([await locksIn("state"), await locksIn("two")], [[fileNames.lock(key)], []]);
      assert.equal((await stat(at("state"))).mode & 0o777, 0o700);
      await locks.check();
      await locks.release();
      assert.deepEqual(await readdir(at("state")), []);
    });

    it("keeps out who comes when there is room again, and looks in the state directory", async () => {
      const locks = await scene.locks();
      await locks.takeAll([at("two"), at("one")], key, wait());
      await makeRoom();
      await assert.rejects((await scene.locks()).takeAll([at("two")], key, wait()), refusedFor(/its lock is .*state\/lm-/));
      await locks.check();
    });

    it("stops its run before the next step where another one, with another state directory, has come when there was room again", async () => {
      const locks = await scene.locks();
      await locks.takeAll([at("two")], key, wait());
      await makeRoom();
      await (await scene.locks({ state: "another" })).takeAll([at("two")], key, wait());
      await assert.rejects(locks.check(), refusedFor(/another run has begun, and holds .*two\/lm-.*\.lock, for which there was no room/));
    });

    it("is refused with the line that makes the state directory, where this account cannot", async () => {
      await chmod(at("two"), 0o777);
      await chmod(scene.folder, 0o755);
      const locks = await scene.locks({ worker: await localWorkerAs("nobody") });
      const words = /two on here: it has no room for a lock or a manifest.*Permission denied\..*`install -d -m 0700 -o <account> .*state`/;
      await assert.rejects(locks.takeAll([at("two")], key, wait()), refusedFor(words));
    });

    it("is refused where others may use the state directory", async () => {
      await mkdir(at("state"), { mode: 0o755 });
      await assert.rejects((await scene.locks()).takeAll([at("two")], key, wait()), refusedFor(/others may use it: its mode is 755/));
    });
  });

  it("names nobody gone whose machine is unknown or another one", () => {
    assert.equal(holderIs(thisWorld, { ...newHolder(thisWorld), machine: "", born: "1" }), "perhaps");
    assert.equal(holderIs(thisWorld, { ...elsewhere(), born: "1" }), "perhaps");
    assert.equal(holderIs(thisWorld, newHolder(thisWorld)), "alive");
    assert.equal(holderIs(thisWorld, gone()), "gone");
  });
});

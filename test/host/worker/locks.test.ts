import assert from "node:assert/strict";
import { constants } from "node:fs";
import { chmod, chown, readdir, readFile, rename, stat, symlink, unlink, utimes, writeFile } from "node:fs/promises";
import { constants as system } from "node:os";
import path from "node:path";
import { writeFile as writeOnHost } from "../../../provider/host/worker/changes.js";
import { acquireLock, lostLocks, removeLocks, saidByHolder } from "../../../provider/host/worker/locks.js";
import { run } from "../../sandbox/command.js";
import { failure, hasEnded, localWorker, localWorkerProcess, refusedWith, scratch, withWorkers } from "./harness.js";

describe("a lock of the worker's", function () {
  withWorkers(this);

  it("is a regular file of mode 0600", async () => {
    const worker = await localWorker();
    const file = path.join(await scratch(), "lock");
    await acquireLock(worker, { path: file }, { waitSeconds: 0 });
    const found = await stat(file);
    assert.deepEqual([found.mode & constants.S_IFMT, found.mode & 0o777], [constants.S_IFREG, 0o600]);
  });

  it("is refused while another worker holds it, and granted afterwards", async () => {
    const [one, two] = [await localWorker(), await localWorker()];
    const place = { path: path.join(await scratch(), "lock") };
    const held = await acquireLock(one, place, { waitSeconds: 0 });
    await failure("held", acquireLock(two, place, { waitSeconds: 0.1 }));
    const waiting = acquireLock(two, place, { waitSeconds: 10 });
    await held.release();
    assert.equal(await (await waiting).isStillHeld(), true);
  });

  it("is refused within one worker as well", async () => {
    const worker = await localWorker();
    const place = { path: path.join(await scratch(), "lock") };
    await acquireLock(worker, place, { waitSeconds: 0 });
    await failure("held", acquireLock(worker, place, { waitSeconds: 0 }));
  });

  it("stops waiting when it is cancelled", async () => {
    const [one, two] = [await localWorker(), await localWorker()];
    const place = { path: path.join(await scratch(), "lock") };
    await acquireLock(one, place, { waitSeconds: 0 });
    await failure("cancelled", acquireLock(two, place, { waitSeconds: 60, signal: AbortSignal.timeout(100) }));
  });

  it("is free as soon as its worker is killed", async () => {
    const { worker, child } = await localWorkerProcess();
    const other = await localWorker();
    const place = { path: path.join(await scratch(), "lock") };
    await acquireLock(worker, place, { waitSeconds: 0 });
    child.kill("SIGKILL");
    await hasEnded(child);
    await acquireLock(other, place, { waitSeconds: 0 });
  });

  it("stays with a worker that sleeps, however long", async () => {
    const { worker, child } = await localWorkerProcess();
    const other = await localWorker();
    const place = { path: path.join(await scratch(), "lock") };
    await acquireLock(worker, place, { waitSeconds: 0 });
    child.kill("SIGSTOP");
    await failure("held", acquireLock(other, place, { waitSeconds: 1 }));
    child.kill("SIGCONT");
  });

  it("whose file is removed is no longer held, and its holder changes nothing any more", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    const lock = await acquireLock(worker, { path: path.join(folder, "lock") }, { waitSeconds: 0 });
    await unlink(path.join(folder, "lock"));
    assert.equal(await lock.isStillHeld(), false);
    const write = writeOnHost(
      worker,
      { path: path.join(folder, "new") },
      { content: Buffer.from("text"), mode: 0o600, locks: [lock.number] },
    );
    await failure("lock-lost", write);
    assert.deepEqual(await readdir(folder), []);
  });

  it("whose file is replaced leaves the new one alone", async () => {
    const worker = await localWorker();
    const file = path.join(await scratch(), "lock");
    const lock = await acquireLock(worker, { path: file }, { waitSeconds: 0 });
    await rename(file, `${file}.moved`);
    await writeFile(file, "another's");
    await failure("lock-lost", lock.releaseAndRemove());
    assert.equal((await stat(file)).size, 9);
  });

  it("that is removed by its holder is granted to who waits, as a new file under the name", async () => {
    const [one, two] = [await localWorker(), await localWorker()];
    const folder = await scratch();
    const place = { path: path.join(folder, "lock") };
    const held = await acquireLock(one, place, { waitSeconds: 0 });
    const waiting = acquireLock(two, place, { waitSeconds: 10 });
    await held.releaseAndRemove();
    assert.equal(await (await waiting).isStillHeld(), true);
    assert.deepEqual(await readdir(folder), ["lock"]);
  });

  it("is never one of two holders, while ten workers take it and remove it", async () => {
    const folder = await scratch();
    const place = { path: path.join(folder, "lock") };
    const workers = await Promise.all(Array.from({ length: 10 }, () => localWorker()));
    let holders = 0;
    let most = 0;
    const take = async (worker: (typeof workers)[number]) => {
      for (let turn = 0; turn < 5; turn++) {
        const lock = await acquireLock(worker, place, { waitSeconds: 30 });
        most = Math.max(most, ++holders);
        await writeOnHost(worker, { path: path.join(folder, "only") }, { content: Buffer.from("x"), mode: 0o600, locks: [lock.number] });
        await unlink(path.join(folder, "only"));
        holders--;
        await lock.releaseAndRemove();
      }
    };
    await Promise.all(workers.map(take));
    assert.equal(most, 1);
  });

  it("tells what its file said before, and since when nobody has touched it; at most 4 KiB", async () => {
    const worker = await localWorker();
    const file = path.join(await scratch(), "lock");
    await writeFile(file, "x".repeat(5000), { mode: 0o600 });
    const then = Date.now() / 1000 - 100;
    await utimes(file, then, then);
    const { before } = await acquireLock(worker, { path: file }, { waitSeconds: 0 });
    assert.equal(before.text, "x".repeat(4096));
    assert.ok(before.ageSeconds >= 100 && before.ageSeconds < 130, String(before.ageSeconds));
  });

  it("that another one holds tells what its file says", async () => {
    const [one, two] = [await localWorker(), await localWorker()];
    const place = { path: path.join(await scratch(), "lock") };
    await (await acquireLock(one, place, { waitSeconds: 0 })).write("one's\n");
    const thrown = await failure("held", acquireLock(two, place, { waitSeconds: 0 }));
    assert.equal(saidByHolder(thrown)?.text, "one's\n");
  });

  it("is written in place: the file stays the locked one, and nothing of a longer text stays", async () => {
    const [one, two] = [await localWorker(), await localWorker()];
    const place = { path: path.join(await scratch(), "lock") };
    await writeFile(place.path, "a longer text that was there", { mode: 0o600 });
    const { ino } = await stat(place.path);
    const lock = await acquireLock(one, place, { waitSeconds: 0 });
    await lock.write("short");
    assert.deepEqual([await readFile(place.path, "utf8"), (await stat(place.path)).ino], ["short", ino]);
    await failure("held", acquireLock(two, place, { waitSeconds: 0 }));
  });

  it("whose file is replaced is not written, neither the locked file nor the new one", async () => {
    const worker = await localWorker();
    const file = path.join(await scratch(), "lock");
    const lock = await acquireLock(worker, { path: file }, { waitSeconds: 0 });
    await rename(file, `${file}.moved`);
    await writeFile(file, "another's");
    await failure("lock-lost", lock.write("text"));
    assert.deepEqual([await readFile(file, "utf8"), await readFile(`${file}.moved`, "utf8")], ["another's", ""]);
  });

  it("is not made where only one that is there is wanted", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    await refusedWith(system.errno.ENOENT, acquireLock(worker, { path: path.join(folder, "lock") }, { waitSeconds: 0, make: false }));
    assert.deepEqual(await readdir(folder), []);
  });

  it("is one of several that are asked after in one question, and the lost ones are told", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    const names = ["a", "b", "c"].map((name) => path.join(folder, name));
    const locks = await Promise.all(names.map((name) => acquireLock(worker, { path: name }, { waitSeconds: 0 })));
    assert.deepEqual(await lostLocks(worker, locks), []);
    await unlink(path.join(folder, "b"));
    assert.deepEqual(await lostLocks(worker, locks), [locks[1]]);
  });

  it("goes with others behind a file that goes first; where one is lost, all stay", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    const [a, b, first] = ["a", "b", "first"].map((name) => path.join(folder, name)) as [string, string, string];
    const take = () => Promise.all([a, b].map((name) => acquireLock(worker, { path: name }, { waitSeconds: 0 })));
    await writeFile(first, "");
    const locks = await take();
    await unlink(b);
    await failure("lock-lost", removeLocks(worker, locks, { path: first }));
    assert.deepEqual((await readdir(folder)).sort(), ["a", "first"]);
    await failure("lock-lost", removeLocks(worker, locks));
    await removeLocks(worker, await take(), { path: first });
    assert.deepEqual(await readdir(folder), []);
    assert.equal(worker.isIdle, true);
  });

  it("keeps its worker from counting as idle, as long as it is held", async () => {
    const worker = await localWorker();
    const lock = await acquireLock(worker, { path: path.join(await scratch(), "lock") }, { waitSeconds: 0 });
    assert.equal(worker.isIdle, false);
    await lock.release();
    assert.equal(worker.isIdle, true);
  });

  it("is not taken through a link", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    await writeFile(path.join(folder, "elsewhere"), "");
    await symlink("elsewhere", path.join(folder, "lock"));
    await refusedWith(system.errno.ELOOP, acquireLock(worker, { path: path.join(folder, "lock") }, { waitSeconds: 0 }));
  });

  it("is not taken on a FIFO", async () => {
    const worker = await localWorker();
    const file = path.join(await scratch(), "lock");
    await run("mkfifo", [file]);
    await failure("not-regular", acquireLock(worker, { path: file }, { waitSeconds: 0 }));
  });

  it("is not taken on a file that others may open", async () => {
    const worker = await localWorker();
    const file = path.join(await scratch(), "lock");
    await writeFile(file, "");
    await chmod(file, 0o640);
    await failure("wrong-mode", acquireLock(worker, { path: file }, { waitSeconds: 0 }));
  });

  it("is not taken on another account's file", async () => {
    const worker = await localWorker();
    const file = path.join(await scratch(), "lock");
    await writeFile(file, "");
    await chmod(file, 0o600);
    await chown(file, 65534, 65534);
    const { details } = await failure("foreign-owner", acquireLock(worker, { path: file }, { waitSeconds: 0 }));
    assert.deepEqual(details, { owner: 65534, expected: 0 });
  });
});

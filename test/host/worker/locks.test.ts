import assert from "node:assert/strict";
import { constants } from "node:fs";
import { chmod, chown, readdir, rename, stat, symlink, unlink, writeFile } from "node:fs/promises";
import { constants as system } from "node:os";
import path from "node:path";
import { writeFile as writeOnHost } from "../../../provider/host/worker/changes.js";
import { acquireLock } from "../../../provider/host/worker/locks.js";
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

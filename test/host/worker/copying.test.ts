import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { chmod, chown, type FileHandle, open, readFile, rename, stat, symlink, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { type CopyOptions, type CopyProgress, copyAttributes, copyFile } from "../../../provider/host/worker/copying.js";
import { fileStatus, openFile } from "../../../provider/host/worker/files.js";
import { acquireLock } from "../../../provider/host/worker/locks.js";
import type { Worker } from "../../../provider/host/worker/worker.js";
import { run } from "../../sandbox/command.js";
import { mountSmall } from "../../sandbox/file-systems.js";
import { failure, hasEnded, localWorker, localWorkerProcess, refusedWith, scratch, undoLater, withWorkers } from "./harness.js";

const mib = 1024 * 1024;

/** A source with data, a hole, data, a hole and an odd end; and an empty target. */
async function files(folder: string): Promise<{ from: { path: string }; to: { path: string } }> {
  const [from, to] = [path.join(folder, "from"), path.join(folder, "to")];
  const file = await open(from, "w");
  await writeAt(file, 0, 3 * mib + 123);
  await writeAt(file, 20 * mib + 5, 1000);
  await writeAt(file, 40 * mib, 9 * mib);
  await file.truncate(60 * mib);
  await writeAt(file, 60 * mib, 777);
  await file.close();
  await writeFile(to, "");
  return { from: { path: from }, to: { path: to } };
}

async function writeAt(file: FileHandle, position: number, length: number): Promise<void> {
  await file.write(Buffer.alloc(length, `data at ${position} `), 0, length, position);
}

async function sumOf(file: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(file))
    .digest("hex");
}

async function isCopied(paths: Awaited<ReturnType<typeof files>>): Promise<void> {
  assert.equal(await sumOf(paths.to.path), await sumOf(paths.from.path));
}

/** Cancelled as soon as something is told of it. */
async function cutCopy(worker: Worker, paths: Awaited<ReturnType<typeof files>>, options: CopyOptions): Promise<CopyProgress> {
  const stop = new AbortController();
  let last: CopyProgress | undefined;
  const onProgress = (progress: CopyProgress) => {
    last = progress;
    stop.abort();
  };
  await failure("cancelled", copyFile(worker, paths, { ...options, signal: stop.signal, onProgress }));
  assert(last);
  return last;
}

describe("a copy by the worker", function () {
  withWorkers(this);

  it("of a file that is held open is of that file, whatever its name leads to by now", async () => {
    const worker = await localWorker();
    const paths = await files(await scratch());
    const held = await openFile(worker, paths.from);
    const sum = await sumOf(paths.from.path);
    await rename(paths.from.path, `${paths.from.path}.away`);
    await writeFile(paths.from.path, "another file");
    await copyFile(worker, { from: held.itself, to: paths.to });
    await held.close();
    assert.equal(await sumOf(paths.to.path), sum);
  });

  it("has the same bytes, past the page cache, and its holes are holes", async () => {
    const worker = await localWorker();
    const paths = await files(await scratch());
    assert.deepEqual(await copyFile(worker, paths), { way: "direct", sizeBytes: 60 * mib + 777 });
    await isCopied(paths);
    const [from, to] = [await stat(paths.from.path), await stat(paths.to.path)];
    assert(to.blocks <= from.blocks + 64, `${to.blocks} blocks for ${from.blocks}`);
  });

  it("shares extents where the file system can", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    await mountSmall({ defer: undoLater }, path.join(folder, "small"), { kind: "btrfs", sizeMiB: 160 });
    const paths = await files(path.join(folder, "small"));
    assert.equal((await copyFile(worker, paths)).way, "reflink");
    await isCopied(paths);
  });

  it("shares none where it may not", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    await mountSmall({ defer: undoLater }, path.join(folder, "small"), { kind: "btrfs", sizeMiB: 200 });
    const paths = await files(path.join(folder, "small"));
    assert.notEqual((await copyFile(worker, paths, { reflink: "never" })).way, "reflink");
    await isCopied(paths);
  });

  it("of an empty file is empty", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    for (const name of ["from", "to"]) await writeFile(path.join(folder, name), "");
    const copied = await copyFile(worker, { from: { path: path.join(folder, "from") }, to: { path: path.join(folder, "to") } });
    assert.equal(copied.sizeBytes, 0);
  });

  it("of a file that is all hole has no data", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    for (const name of ["from", "to"]) await writeFile(path.join(folder, name), "");
    await truncate(path.join(folder, "from"), 2 ** 40);
    await copyFile(worker, { from: { path: path.join(folder, "from") }, to: { path: path.join(folder, "to") } });
    const to = await stat(path.join(folder, "to"));
    assert.deepEqual([to.size, to.blocks], [2 ** 40, 0]);
  });

  it("goes no faster than it may", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    await writeFile(path.join(folder, "from"), Buffer.alloc(2 * mib, 1));
    await writeFile(path.join(folder, "to"), "");
    const begun = Date.now();
    await copyFile(
      worker,
      { from: { path: path.join(folder, "from") }, to: { path: path.join(folder, "to") } },
      { bytesPerSecond: () => 2 * mib },
    );
    assert(Date.now() - begun > 900, `it took ${Date.now() - begun} ms`);
  });

  it("stops when it is cancelled, and goes on from its resume point", async () => {
    const worker = await localWorker();
    const paths = await files(await scratch());
    const { copiedBytes, resumeBytes } = await cutCopy(worker, paths, { bytesPerSecond: () => 2 * mib, reflink: "never" });
    assert(copiedBytes < 60 * mib && resumeBytes <= copiedBytes);
    await truncate(paths.to.path, 0);
    await copyFile(worker, paths, { resumeBytes: 0 });
    await isCopied(paths);
  });

  it("that goes on writes nothing before its resume point", async () => {
    const worker = await localWorker();
    const paths = await files(await scratch());
    await writeFile(paths.to.path, Buffer.alloc(40 * mib, 1));
    await copyFile(worker, paths, { resumeBytes: 40 * mib });
    const [from, to] = [await readFile(paths.from.path), await readFile(paths.to.path)];
    assert(to.subarray(0, 40 * mib).every((byte) => byte === 1));
    assert(to.subarray(40 * mib).equals(from.subarray(40 * mib)));
  });

  it("from the beginning requires an empty target", async () => {
    const worker = await localWorker();
    const paths = await files(await scratch());
    await writeFile(paths.to.path, "content");
    await failure("not-empty", copyFile(worker, paths));
    assert.equal(await readFile(paths.to.path, "utf8"), "content");
  });

  it("fails where its source is written to meanwhile", async () => {
    const worker = await localWorker();
    const paths = await files(await scratch());
    const onProgress = () => void writeFile(paths.from.path, "new", { flag: "r+" });
    await failure("changed", copyFile(worker, paths, { bytesPerSecond: () => 8 * mib, reflink: "never", onProgress }));
  });

  it("stops where its lock is lost", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    const paths = await files(folder);
    const lock = await acquireLock(worker, { path: path.join(folder, "lock") }, { waitSeconds: 0 });
    const onProgress = () => void run("rm", ["-f", path.join(folder, "lock")]);
    await failure("lock-lost", copyFile(worker, paths, { bytesPerSecond: () => 4 * mib, locks: [lock.number], onProgress }));
  });

  it("says that there is no room by the errno", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    await mountSmall({ defer: undoLater }, path.join(folder, "small"), { kind: "tmpfs", sizeMiB: 4 });
    const paths = await files(folder);
    await writeFile(path.join(folder, "small/to"), "");
    await refusedWith(28, copyFile(worker, { from: paths.from, to: { path: path.join(folder, "small/to") } }));
  });

  it("goes to the expected file and to no other, and so do attributes", async () => {
    const worker = await localWorker();
    const paths = await files(await scratch());
    const expected = (await fileStatus(worker, paths.from)).identity;
    await failure("other-file", copyFile(worker, paths, { expected }));
    await chmod(paths.from.path, 0o604);
    await failure("other-file", copyAttributes(worker, paths, { expected }));
    const found = await stat(paths.to.path);
    assert.deepEqual([found.size, found.mode & 0o777], [0, 0o644]);
    await copyFile(worker, paths, { expected: (await fileStatus(worker, paths.to)).identity });
  });

  it("follows no link, on neither side", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    const paths = await files(folder);
    await symlink("to", path.join(folder, "link"));
    await refusedWith(40, copyFile(worker, { from: paths.from, to: { path: path.join(folder, "link") } }));
    await refusedWith(40, copyFile(worker, { from: { path: path.join(folder, "link") }, to: paths.to }));
  });

  it("ends with its worker", async () => {
    const { worker, child } = await localWorkerProcess();
    const paths = await files(await scratch());
    const copy = copyFile(worker, paths, { bytesPerSecond: () => mib, reflink: "never" });
    const ended = failure("cancelled", copy);
    await worker.close();
    await hasEnded(child);
    await ended;
  });
});

describe("what a file has besides its bytes", function () {
  withWorkers(this);

  it("comes along: owner and mode", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    const [from, to] = [path.join(folder, "from"), path.join(folder, "to")];
    for (const name of [from, to]) await writeFile(name, "");
    await chown(from, 1234, 5678);
    await chmod(from, 0o640);
    assert.deepEqual(await copyAttributes(worker, { from: { path: from }, to: { path: to } }), []);
    const found = await stat(to);
    assert.deepEqual([found.uid, found.gid, found.mode & 0o777], [1234, 5678, 0o640]);
  });

  it("is told where it cannot come along", async () => {
    const folder = await scratch();
    await chmod(folder, 0o777);
    const worker = await localWorker({ uid: 65534 });
    const [from, to] = [path.join(folder, "from"), path.join(folder, "to")];
    for (const name of [from, to]) await writeFile(name, "");
    await chmod(from, 0o644);
    await chown(to, 65534, 65534);
    assert.deepEqual(await copyAttributes(worker, { from: { path: from }, to: { path: to } }), [{ attribute: "owner", errno: 1 }]);
  });
});

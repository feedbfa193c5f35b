import assert from "node:assert/strict";
import { chmod, link, rename, unlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { openDirectory } from "../../../provider/host/worker/directories.js";
import { openFile } from "../../../provider/host/worker/files.js";
import { fileHolders } from "../../../provider/host/worker/holders.js";
import { acquireLock } from "../../../provider/host/worker/locks.js";
import { runProgram } from "../../../provider/host/worker/programs.js";
import { failure, localWorker, refusedWith, scratch, withWorkers } from "./harness.js";

async function image(): Promise<string> {
  const name = path.join(await scratch(), "image");
  await writeFile(name, "image");
  return name;
}

describe("who has a file open", function () {
  withWorkers(this);

  it("is nobody, where nobody has", async () => {
    const worker = await localWorker();
    assert.deepEqual((await fileHolders(worker, [{ path: await image() }])).files, [{ open: [], locks: [] }]);
  });

  it("is named by pid, program and access, for several files in their order", async () => {
    const [worker, other] = [await localWorker(), await localWorker()];
    const [one, two] = [await image(), await image()];
    await openFile(other, { path: two });
    const { files } = await fileHolders(worker, [{ path: one }, { path: two }]);
    const [holder] = files[1]?.open ?? [];
    assert.deepEqual([files[0]?.open, holder?.pid, holder?.access], [[], other.hello.pid, "reads"]);
    assert.match(holder?.program ?? "", /^python3/);
    assert(holder?.startTime);
  });

  it("is found by another of the file's names, moved and removed names too", async () => {
    const [worker, other] = [await localWorker(), await localWorker()];
    const name = await image();
    await openFile(other, { path: name });
    await link(name, `${name}.second`);
    await rename(name, `${name}.moved`);
    await unlink(`${name}.moved`);
    const { files } = await fileHolders(worker, [{ path: `${name}.second` }]);
    assert.deepEqual(
      files[0]?.open.map(({ pid }) => pid),
      [other.hello.pid],
    );
  });

  it("is told who writes", async () => {
    const [worker, other] = [await localWorker(), await localWorker()];
    const name = await image();
    const stop = new AbortController();
    const program = runProgram(other, ["sh", "-c", 'exec 3<>"$0"; exec sleep 60', name], { signal: stop.signal });
    let holder: { access: string; program: string } | undefined;
    while (holder?.program !== "sleep" && holder?.program !== "coreutils")
      [holder] = (await fileHolders(worker, [{ path: name }])).files[0]?.open ?? [];
    assert.equal(holder.access, "writes");
    stop.abort();
    await failure("cancelled", program);
  });

  it("is not another file of the same name", async () => {
    const [worker, other] = [await localWorker(), await localWorker()];
    const name = await image();
    await openFile(other, { path: name });
    await rename(name, `${name}.old`);
    await writeFile(name, "new");
    assert.deepEqual((await fileHolders(worker, [{ path: name }])).files[0]?.open, []);
  });

  it("is counted as hidden where this account may not look", async () => {
    const name = await image();
    await chmod(path.dirname(name), 0o755);
    await chmod(name, 0o644);
    const worker = await localWorker({ uid: 65534 });
    assert((await fileHolders(worker, [{ path: name }])).hidden > 0);
  });

  it("is told by locks too", async () => {
    const [worker, other] = [await localWorker(), await localWorker()];
    const place = { path: path.join(await scratch(), "lock") };
    await acquireLock(other, place, { waitSeconds: 0 });
    const { files } = await fileHolders(worker, [place]);
    assert.deepEqual(files[0]?.locks, [{ kind: "FLOCK", access: "writes", first: 0, last: null }]);
  });

  it("is asked of a name in an open directory as well", async () => {
    const [worker, other] = [await localWorker(), await localWorker()];
    const name = await image();
    await openFile(other, { path: name });
    const directory = await openDirectory(worker, path.dirname(name));
    assert.equal((await fileHolders(worker, [directory.place("image")])).files[0]?.open.length, 1);
  });

  it("fails where a file is not there, by the errno", async () => {
    const worker = await localWorker();
    await refusedWith(2, fileHolders(worker, [{ path: "/no/such/file" }]));
  });
});

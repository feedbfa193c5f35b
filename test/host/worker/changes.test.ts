import assert from "node:assert/strict";
import { chmod, mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from "node:fs/promises";
import { constants as system } from "node:os";
import path from "node:path";
import { moveFile, removeExpected, writeLink, writeFile as writeOnHost } from "../../../provider/host/worker/changes.js";
import { makeDirectory, openPrivateDirectory, removeDirectory } from "../../../provider/host/worker/directories.js";
import { fileStatus, openFile } from "../../../provider/host/worker/files.js";
import type { Worker } from "../../../provider/host/worker/worker.js";
import { failure, localWorker, refusedWith, scratch, withWorkers } from "./harness.js";

const text = (content: string) => ({ content: Buffer.from(content), mode: 0o640 });

async function identityOf(worker: Worker, name: string) {
  return (await fileStatus(worker, { path: name })).identity;
}

describe("a file that the worker writes", function () {
  withWorkers(this);

  it("has content and mode, whatever the umask, and nothing is left beside it", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    await writeOnHost(worker, { path: path.join(folder, "new") }, text("content"));
    assert.equal(await readFile(path.join(folder, "new"), "utf8"), "content");
    assert.equal((await stat(path.join(folder, "new"))).mode & 0o777, 0o640);
    assert.deepEqual(await readdir(folder), ["new"]);
  });

  it("is refused where the name is taken, and what is there stays", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    await writeFile(path.join(folder, "old"), "old");
    await refusedWith(system.errno.EEXIST, writeOnHost(worker, { path: path.join(folder, "old") }, text("new")));
    assert.equal(await readFile(path.join(folder, "old"), "utf8"), "old");
    assert.deepEqual(await readdir(folder), ["old"]);
  });

  it("is refused where the name is a link to nowhere", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    await symlink("nowhere", path.join(folder, "link"));
    await refusedWith(system.errno.EEXIST, writeOnHost(worker, { path: path.join(folder, "link") }, text("new")));
    assert.deepEqual(await readdir(folder), ["link"]);
  });

  it("replaces what was there where it may", async () => {
    const worker = await localWorker();
    const name = path.join(await scratch(), "file");
    await writeFile(name, "old");
    await writeOnHost(worker, { path: name }, { ...text("new"), existing: "any" });
    assert.equal(await readFile(name, "utf8"), "new");
  });

  it("replaces the expected file, and no other one", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    const [name, other] = [path.join(folder, "file"), path.join(folder, "other")];
    for (const one of [name, other]) await writeFile(one, "old");
    const expected = await identityOf(worker, other);
    await failure("other-file", writeOnHost(worker, { path: name }, { ...text("new"), existing: expected }));
    assert.equal(await readFile(name, "utf8"), "old");
    await writeOnHost(worker, { path: name }, { ...text("new"), existing: await identityOf(worker, name) });
    assert.equal(await readFile(name, "utf8"), "new");
    assert.deepEqual((await readdir(folder)).sort(), ["file", "other"]);
  });

  it("comes through a private directory where others may write", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    await makeDirectory(worker, { path: path.join(folder, "private") });
    const directory = await openPrivateDirectory(worker, path.join(folder, "private"));
    await writeOnHost(worker, { path: path.join(folder, "new") }, { ...text("content"), through: directory.number });
    assert.equal(await readFile(path.join(folder, "new"), "utf8"), "content");
    await removeDirectory(worker, { path: path.join(folder, "private") });
  });

  it("may be a link, which is re-pointed in one step", async () => {
    const worker = await localWorker();
    const name = path.join(await scratch(), "link");
    await writeLink(worker, { path: name }, { target: "one place" });
    await refusedWith(system.errno.EEXIST, writeLink(worker, { path: name }, { target: "another" }));
    await writeLink(worker, { path: name }, { target: "another", existing: "any" });
    assert.equal(await readlink(name), "another");
  });
});

describe("a file that the worker moves", function () {
  withWorkers(this);

  it("takes a free name, and no other", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    const [one, two, three] = ["one", "two", "three"].map((name) => path.join(folder, name)) as [string, string, string];
    await writeFile(one, "one");
    await writeFile(two, "two");
    await refusedWith(system.errno.EEXIST, moveFile(worker, { from: { path: one }, to: { path: two } }));
    await moveFile(worker, { from: { path: one }, to: { path: three } });
    assert.deepEqual([await readFile(two, "utf8"), await readFile(three, "utf8")], ["two", "one"]);
  });

  it("is the expected one", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    const [one, two] = [path.join(folder, "one"), path.join(folder, "two")];
    for (const name of [one, two]) await writeFile(name, name);
    const move = moveFile(worker, { from: { path: one }, to: { path: `${one}.moved` } }, { expected: await identityOf(worker, two) });
    await failure("other-file", move);
    assert.deepEqual((await readdir(folder)).sort(), ["one", "two"]);
  });

  it("stays in its file system", async () => {
    const worker = await localWorker();
    const one = path.join(await scratch(), "one");
    await writeFile(one, "one");
    await refusedWith(system.errno.EXDEV, moveFile(worker, { from: { path: one }, to: { path: `/dev/shm/livedisk-${process.pid}` } }));
    assert.equal(await readFile(one, "utf8"), "one");
  });
});

describe("a file that the worker removes", function () {
  withWorkers(this);

  it("is the expected one", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    const [one, two] = [path.join(folder, "one"), path.join(folder, "two")];
    for (const name of [one, two]) await writeFile(name, name);
    const expected = await identityOf(worker, one);
    await failure("other-file", removeExpected(worker, { path: two }, { expected, hidden: "refuse" }));
    assert.deepEqual((await readdir(folder)).sort(), ["one", "two"]);
    await removeExpected(worker, { path: one }, { expected, hidden: "refuse" });
    assert.deepEqual(await readdir(folder), ["two"]);
  });

  it("is open in no process", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    const name = path.join(folder, "image");
    await writeFile(name, "image");
    const expected = await identityOf(worker, name);
    const other = await localWorker();
    const held = await openFile(other, { path: name });
    const { details } = await failure("open", removeExpected(worker, { path: name }, { expected, hidden: "refuse" }));
    assert.deepEqual(
      (details as { holders: { pid: number }[] }).holders.map(({ pid }) => pid),
      [other.hello.pid],
    );
    assert.deepEqual(await readdir(folder), ["image"]);
    await held.close();
    await removeExpected(worker, { path: name }, { expected, hidden: "refuse" });
    assert.deepEqual(await readdir(folder), []);
  });

  it("is kept where this account cannot see who has it open, if that is asked for", async () => {
    const folder = await scratch();
    await chmod(folder, 0o777);
    const below = path.join(folder, "below");
    const worker = await localWorker({ uid: 65534 });
    await makeDirectory(worker, { path: below });
    const name = path.join(below, "image");
    await writeOnHost(worker, { path: name }, text("image"));
    const expected = await identityOf(worker, name);
    const { details } = await failure("open", removeExpected(worker, { path: name }, { expected, hidden: "refuse" }));
    assert((details as { hidden: number }).hidden > 0);
    await removeExpected(worker, { path: name }, { expected, hidden: "allow" });
    assert.deepEqual(await readdir(below), []);
  });
});

describe("a directory that the worker makes", function () {
  withWorkers(this);

  it("has mode 0700 and a free name", async () => {
    const worker = await localWorker();
    const name = path.join(await scratch(), "new");
    await makeDirectory(worker, { path: name });
    assert.equal((await stat(name)).mode & 0o777, 0o700);
    await refusedWith(system.errno.EEXIST, makeDirectory(worker, { path: name }));
  });

  it("is removed only when it is empty", async () => {
    const worker = await localWorker();
    const name = path.join(await scratch(), "new");
    await mkdir(path.join(name, "below"), { recursive: true });
    await refusedWith(system.errno.ENOTEMPTY, removeDirectory(worker, { path: name }));
  });
});

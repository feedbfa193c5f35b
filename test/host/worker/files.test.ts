import assert from "node:assert/strict";
import { chmod, chown, link, mkdir, rename, rm, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { constants as system } from "node:os";
import path from "node:path";
import { openDirectory, openPrivateDirectory } from "../../../provider/host/worker/directories.js";
import { fileStatus, linkTarget, openFile, readFile, readTrustedFile } from "../../../provider/host/worker/files.js";
import { compareIdentities } from "../../../provider/host/worker/identity.js";
import { lookAtFiles } from "../../../provider/host/worker/looking.js";
import { run } from "../../sandbox/command.js";
import { mountSmall } from "../../sandbox/file-systems.js";
import { failure, localWorker, refusedWith, scratch, undoLater, withWorkers } from "./harness.js";

async function file(content: string, mode = 0o600): Promise<string> {
  const name = path.join(await scratch(), "file");
  await writeFile(name, content);
  await chmod(name, mode);
  return name;
}

describe("several files that the worker looks at", function () {
  withWorkers(this);

  it("are told as they are, with what is not there, and links followed where that is asked", async () => {
    const worker = await localWorker();
    const name = await file("four");
    const folder = path.dirname(name);
    await symlink("file", path.join(folder, "link"));
    await symlink("nowhere", path.join(folder, "dangling"));
    const names = ["file", "absent", "link", "dangling", "file/below"].map((each) => path.join(folder, each));
    const kinds = async (links: "follow" | "keep-links") => (await lookAtFiles(worker, names, links)).map((found) => found?.kind);
    assert.deepEqual(await kinds("keep-links"), ["file", undefined, "link", "link", undefined]);
    assert.deepEqual(await kinds("follow"), ["file", undefined, "file", undefined, undefined]);
    const [one, , two] = await lookAtFiles(worker, names, "follow");
    assert(one && two);
    assert.deepEqual([one.sizeBytes, compareIdentities(one.identity, two.identity)], [4, "same"]);
    assert.deepEqual(one.identity, (await fileStatus(worker, { path: name })).identity);
  });

  it("need no right to list the directories above, and one that cannot be looked at fails", async function () {
    if (process.getuid?.() !== 0) this.skip(); // root alone can look as another account
    const name = await file("x");
    const folder = path.dirname(name);
    await chmod(folder, 0o711);
    const worker = await localWorker({ uid: 65534 });
    assert.equal((await lookAtFiles(worker, [name], "keep-links"))[0]?.kind, "file");
    await chmod(folder, 0o700);
    await failure("system", lookAtFiles(worker, [name], "keep-links"));
  });
});

describe("a file that the worker reads", function () {
  withWorkers(this);

  it("comes whole, with size, time, mode and owner of the open file", async () => {
    const worker = await localWorker();
    const name = await file("a\0ü", 0o640);
    await utimes(name, 1, 1_600_000_000.5);
    const { content, sizeBytes, modifiedNs, mode, kind } = await readFile(worker, { path: name }, { bytesAtMost: 100 });
    assert.deepEqual(
      { content: content.toString(), sizeBytes, modifiedNs, mode, kind },
      { content: "a\0ü", sizeBytes: 4, modifiedNs: 1_600_000_000_500_000_000n, mode: 0o640, kind: "file" },
    );
  });

  it("has at most the bytes that were asked for", async () => {
    const worker = await localWorker();
    const name = await file("12345");
    assert.equal((await readFile(worker, { path: name }, { bytesAtMost: 5 })).content.length, 5);
    await failure("too-large", readFile(worker, { path: name }, { bytesAtMost: 4 }));
  });

  it("is refused by its size before it is read", async () => {
    const worker = await localWorker();
    const name = await file("");
    await truncate(name, 2 ** 40);
    await failure("too-large", readFile(worker, { path: name }, { bytesAtMost: 1 << 20 }));
  });

  it("is bounded also where it has no size, as in /proc", async () => {
    const worker = await localWorker();
    await failure("too-large", readFile(worker, { path: "/proc/self/maps" }, { bytesAtMost: 10 }));
  });

  it("that is a FIFO is refused without waiting for a writer", async () => {
    const worker = await localWorker();
    const name = path.join(await scratch(), "fifo");
    await run("mkfifo", [name]);
    await failure("not-regular", readFile(worker, { path: name }, { bytesAtMost: 10, deadlineSeconds: 5 }));
  });

  it("that is a device is refused", async () => {
    const worker = await localWorker();
    await failure("not-regular", readFile(worker, { path: "/dev/zero" }, { bytesAtMost: 10 }));
  });

  it("is not followed where it is a link", async () => {
    const worker = await localWorker();
    const name = await file("secret");
    await symlink(name, `${name}.link`);
    await refusedWith(system.errno.ELOOP, readFile(worker, { path: `${name}.link` }, { bytesAtMost: 10 }));
    assert.equal(await linkTarget(worker, { path: `${name}.link` }), name);
  });

  it("that is not there is refused with ENOENT", async () => {
    const worker = await localWorker();
    await refusedWith(system.errno.ENOENT, readFile(worker, { path: "/no/such/file" }, { bytesAtMost: 10 }));
  });
});

describe("a file that the worker trusts", function () {
  withWorkers(this);

  it("is ours and writable by us alone", async () => {
    const worker = await localWorker();
    const name = await file("trusted", 0o644);
    assert.equal((await readTrustedFile(worker, { path: name }, { bytesAtMost: 10 })).content.toString(), "trusted");
  });

  for (const mode of [0o620, 0o602]) {
    it(`is refused with mode ${mode.toString(8)}`, async () => {
      const worker = await localWorker();
      const name = await file("text", mode);
      await failure("wrong-mode", readTrustedFile(worker, { path: name }, { bytesAtMost: 10 }));
    });
  }

  it("is refused where it is another account's", async () => {
    const worker = await localWorker();
    const name = await file("text");
    await chown(name, 65534, 65534);
    const { details } = await failure("foreign-owner", readTrustedFile(worker, { path: name }, { bytesAtMost: 10 }));
    assert.deepEqual(details, { owner: 65534, expected: 0 });
    await readFile(worker, { path: name }, { bytesAtMost: 10 });
  });
});

describe("a directory that the worker holds open", function () {
  withWorkers(this);

  it("keeps its names when it is moved and a link takes its place", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    await mkdir(path.join(folder, "ours"));
    await mkdir(path.join(folder, "hostile"));
    await writeFile(path.join(folder, "ours/name"), "ours");
    await writeFile(path.join(folder, "hostile/name"), "hostile");
    const directory = await openDirectory(worker, path.join(folder, "ours"));
    await rename(path.join(folder, "ours"), path.join(folder, "moved"));
    await symlink("hostile", path.join(folder, "ours"));
    assert.equal((await readFile(worker, directory.place("name"), { bytesAtMost: 10 })).content.toString(), "ours");
  });

  it("has no names above it or below it", async () => {
    const worker = await localWorker();
    const directory = await openDirectory(worker, await scratch());
    for (const name of ["..", ".", "", "a/b"]) await failure("bad-request", fileStatus(worker, directory.place(name)));
  });

  it("lists its names with their kinds, and refuses more than was asked for", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    await mkdir(path.join(folder, "below"));
    await symlink("nowhere", path.join(folder, "link"));
    const directory = await openDirectory(worker, folder);
    const entries = (await directory.list(2)).sort((a, b) => a.name.localeCompare(b.name));
    assert.deepEqual(entries, [
      { name: "below", kind: "directory" },
      { name: "link", kind: "link" },
    ]);
    await failure("too-large", directory.list(1));
  });

  it("is private only with mode 0700 and our owner", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    await openPrivateDirectory(worker, folder);
    await chmod(folder, 0o750);
    await failure("wrong-mode", openPrivateDirectory(worker, folder));
    await chmod(folder, 0o700);
    await chown(folder, 65534, 65534);
    await failure("foreign-owner", openPrivateDirectory(worker, folder));
  });
});

describe("the identity of a file", function () {
  withWorkers(this);

  it("stays the same under another name", async () => {
    const worker = await localWorker();
    const name = await file("text");
    const before = (await fileStatus(worker, { path: name })).identity;
    await link(name, `${name}.second`);
    await rename(name, `${name}.moved`);
    for (const again of [`${name}.second`, `${name}.moved`])
      assert.equal(compareIdentities(before, (await fileStatus(worker, { path: again })).identity), "same");
  });

  it("differs from that of the file which gets its inode", async () => {
    const worker = await localWorker();
    const place = path.join(await scratch(), "small");
    // nobody else makes files there, so ext4 gives the inode again at once
    await mountSmall({ defer: undoLater }, place, { kind: "ext4", sizeMiB: 16 });
    const name = path.join(place, "file");
    await writeFile(name, "text");
    const before = (await fileStatus(worker, { path: name })).identity;
    await rm(name);
    await writeFile(name, "text");
    const again = (await fileStatus(worker, { path: name })).identity;
    assert.equal(again.inode, before.inode, "without the same inode this proves nothing");
    assert.equal(compareIdentities(before, again), "different");
  });

  it("is that of the link itself", async () => {
    const worker = await localWorker();
    const name = await file("text");
    await symlink(name, `${name}.link`);
    const [one, two] = [await fileStatus(worker, { path: name }), await fileStatus(worker, { path: `${name}.link` })];
    assert.equal(two.kind, "link");
    assert.equal(compareIdentities(one.identity, two.identity), "different");
  });
});

describe("a file that the worker holds open", function () {
  withWorkers(this);

  it("is synced although its name is gone", async () => {
    const worker = await localWorker();
    const name = await file("text");
    const held = await openFile(worker, { path: name });
    await rm(name);
    await held.sync();
    await held.close();
    await failure("unknown-handle", held.sync());
  });
});

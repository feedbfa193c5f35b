/** The lock beside each manifest, on this machine: who gets it, who is refused, and what it leaves. */

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileNames } from "../../provider/core/disk/names.js";
import { isKind } from "../../provider/core/errors.js";
import { type Holder, holderIs, newHolder } from "../../provider/journal/holder.js";
import { Locks } from "../../provider/journal/lock.js";
import { ShellHost } from "../host/shell-host.js";
import { LocalHost } from "../hypervisor/qemu/local-host.js";
import { until } from "../sandbox/command.js";
import { inMemory, type MadeFolder, makeFolder } from "../sandbox/folders.js";

const key = "0a1b2c3d";

/** A line with an arrow is a process that waits for the lock above it (proc_locks(5)). */
async function hasWaiter(directory: string): Promise<boolean> {
  const { ino } = await stat(directory);
  return (await readFile("/proc/locks", "utf8")).split("\n").some((line) => line.includes("-> FLOCK") && line.includes(`:${ino} `));
}

describe("the lock of a disk, on this machine", () => {
  let made: MadeFolder;
  beforeEach(async () => {
    made = await makeFolder("livedisk lock '$(touch x)-", inMemory);
    for (const name of ["one", "two"]) await mkdir(at(name));
  });
  afterEach(() => made.remove());

  const at = (name: string) => path.join(made.path, name);
  const file = (directory = "one") => at(`${directory}/${fileNames.lock(key)}`);
  const wait = (stop = new AbortController().signal, said: (text: string) => void = () => {}) => ({ stop, said });
  const elsewhere = (): Holder => ({ ...newHolder(), machine: "another machine", name: "runner-7" });
  const gone = (): Holder => ({ ...newHolder(), pid: spawnSync("true").pid });

  async function held(by: object, { seconds = 0, directory = "one", text = `${JSON.stringify(by)}\n` } = {}): Promise<void> {
    await writeFile(file(directory), text);
    const then = Date.now() / 1000 - seconds;
    await utimes(file(directory), then, then);
  }
  const refusedFor = (words: RegExp) => (thrown: unknown) => isKind(thrown, "user") && words.test(thrown.message);

  it("says who holds it and which others it takes, on disk when it is taken, and is gone when it is given back", async () => {
    const locks = new Locks(new ShellHost());
    await locks.takeAll([at("one"), at("two")], key, wait());
    const text = { ...locks.holder, places: [file("one"), file("two")] };
    for (const directory of ["one", "two"]) assert.deepEqual(JSON.parse(await readFile(file(directory), "utf8")), text);
    assert.deepEqual([locks.has(key), locks.has("ffffffff")], [true, false]);
    await locks.release();
    for (const directory of ["one", "two"]) assert.deepEqual(await readdir(at(directory)), []);
    assert.equal(locks.has(key), false);
  });

  it("is held by the run that asks again, without another command", async () => {
    const host = new ShellHost();
    const locks = new Locks(host);
    await locks.take(at("one"), key, wait());
    const { commands } = host.opened;
    await locks.take(at("one"), key, wait());
    assert.equal(host.opened.commands, commands);
    await locks.release();
  });

  it("is had by one alone of several who ask at once", async () => {
    const all = Array.from({ length: 4 }, () => new Locks(new LocalHost()));
    const ends = await Promise.allSettled(all.map((locks) => locks.take(at("one"), key, wait())));
    assert.equal(ends.filter(({ status }) => status === "fulfilled").length, 1);
    await Promise.all(all.map((locks) => locks.release()));
  });

  it("waits as long as somebody works under its directory's own lock", async () => {
    const holder = spawn("flock", [at("one"), "sh", "-c", "echo; read -r end"]);
    await once(holder.stdout, "data");
    const locks = new Locks(new LocalHost());
    let taken = false;
    const taking = locks.take(at("one"), key, wait()).then(() => {
      taken = true;
    });
    await until(
      10,
      async () => (await hasWaiter(at("one"))) || undefined,
      () => "nobody waits for the directory's lock",
    );
    assert.deepEqual([taken, await readdir(at("one"))], [false, []]);
    holder.stdin.end();
    await taking;
    assert.deepEqual(await readdir(at("one")), [fileNames.lock(key)]);
    await locks.release();
  });

  it("that this very run has written before is its own", async () => {
    const locks = new Locks(new ShellHost());
    await held({ ...locks.holder, places: [file()] });
    await locks.take(at("one"), key, wait());
    await locks.release();
    assert.deepEqual(await readdir(at("one")), []);
  });

  for (const [who, holder, seconds] of [
    ["a process of this machine that is gone", gone, 0],
    ["a process whose number another one has now", () => ({ ...newHolder(), born: "1" }), 0],
    ["a run elsewhere that has been silent for more than a minute", elsewhere, 62],
  ] as const) {
    it(`of ${who} is taken over at once, with its other locks of the disk`, async () => {
      const places = [file("one"), file("two"), at("two/another.lock")];
      const by = { ...holder(), places };
      await held(by, { seconds });
      await held(by, { seconds, directory: "two" });
      await writeFile(at("two/another.lock"), JSON.stringify(elsewhere()));
      const locks = new Locks(new ShellHost());
      await locks.take(at("one"), key, wait());
      assert.deepEqual(JSON.parse(await readFile(file(), "utf8")).run, locks.holder.run);
      assert.deepEqual(await readdir(at("two")), ["another.lock"]);
      await locks.release();
    });
  }

  it("of a live process of this machine is refused however long it was silent", async () => {
    await held(newHolder(), { seconds: 3600 });
    const locks = new Locks(new ShellHost());
    const words = /another run holds the lock \([0-9a-f]{16}, process \d+ on .*; its lock is .*\.lock\)\. Nothing was touched/;
    await assert.rejects(locks.take(at("one"), key, wait()), refusedFor(words));
    assert.deepEqual(JSON.parse(await readFile(file(), "utf8")).pid, process.pid);
    assert.equal(locks.has(key), false);
  });

  it("of a run elsewhere that was silent for less than a minute is waited for, and refused when the run is stopped", async () => {
    await held(elsewhere(), { seconds: 30 });
    const stop = new AbortController();
    const said: string[] = [];
    const asking = new Locks(new ShellHost()).take(
      at("one"),
      key,
      wait(stop.signal, (text) => stop.abort(said.push(text))),
    );
    await assert.rejects(asking, refusedFor(/another run holds the lock .* on runner-7/));
    assert.match(said.join("\n"), /^waits for the lock of a run on runner-7 that has been silent for 3\d s$/);
  });

  it("of a run elsewhere that beats meanwhile is refused", async () => {
    await held(elsewhere(), { seconds: 30 });
    const text = await readFile(file(), "utf8");
    const beats = () => void held({}, { text });
    await assert.rejects(new Locks(new ShellHost()).take(at("one"), key, wait(undefined, beats)), refusedFor(/on runner-7/));
  });

  it("is never taken through a symbolic link", async () => {
    await symlink(at("x"), file());
    await assert.rejects(
      new Locks(new ShellHost()).take(at("one"), key, wait()),
      refusedFor(/Unable to lock .*\.lock is a symbolic link\. Nothing was touched/),
    );
    assert.deepEqual(await readdir(made.path), ["one", "two"]);
  });

  it("that is none is refused, and stays", async () => {
    await held({}, { text: "hello\n" });
    await assert.rejects(
      new Locks(new ShellHost()).take(at("one"), key, wait()),
      refusedFor(/Unable to read the lock .*: it is not as we write it/),
    );
    assert.equal(await readFile(file(), "utf8"), "hello\n");
  });

  it("cannot be taken in a directory that is not there", async () => {
    await assert.rejects(new Locks(new ShellHost()).take(at("none"), key, wait()), refusedFor(/Unable to lock .*none on here: /));
  });

  it("that somebody else has by now is not given back", async () => {
    const locks = new Locks(new ShellHost());
    await locks.take(at("one"), key, wait());
    await held(elsewhere());
    await locks.release();
    assert.match(await readFile(file(), "utf8"), /runner-7/);
  });

  it("goes with the disk's last manifest, and no other disk's lock does", async () => {
    const locks = new Locks(new ShellHost());
    for (const each of [key, "ffffffff"]) await locks.take(at("one"), each, wait());
    await writeFile(at("one/manifest"), "{}");
    await locks.releaseWith(at("one/manifest"), key);
    assert.deepEqual(await readdir(at("one")), [fileNames.lock("ffffffff")]);
    assert.deepEqual([locks.has(key), locks.has("ffffffff")], [false, true]);
    await locks.release();
  });

  it("stays where the last manifest cannot be removed", async () => {
    const locks = new Locks(new ShellHost());
    await locks.take(at("one"), key, wait());
    await mkdir(at("one/manifest"));
    await assert.rejects(locks.releaseWith(at("one/manifest"), key), refusedFor(/Unable to remove .*manifest on here: /));
    assert.equal(locks.has(key), true);
    assert.deepEqual((await readdir(at("one"))).sort(), [fileNames.lock(key), "manifest"].sort());
    await locks.release();
  });

  it("of the active image's directory is required, and another directory's where that is writable", async () => {
    const locks = new Locks(new ShellHost());
    await held(newHolder(), { directory: "two" });
    await assert.rejects(locks.takeAll([at("one"), at("two")], key, wait()), refusedFor(/another run holds the lock/));
    await assert.rejects(new Locks(new ShellHost()).takeAll([at("none"), at("one")], key, wait()), refusedFor(/Unable to lock .*none/));
    await locks.release();
  });

  it("of another directory is not required where no file can be made in it while a move is under way, and only then", async function () {
    if (process.getuid?.() !== 0) this.skip(); // as root the files are read by all, and written by nobody
    const { chown } = await import("node:fs/promises");
    for (const place of ["one", "two"]) await chown(at(place), 65534, 65534);
    await chmod(made.path, 0o755);
    await chmod(at("two"), 0o555);
    const locks = new Locks(new LocalHost("nobody"));
    await assert.rejects(locks.takeAll([at("one"), at("two")], key, wait()), refusedFor(/Unable to lock .*two/));
    await writeFile(at(`one/${fileNames.manifest(key)}`), "{}");
    await locks.takeAll([at("one"), at("two")], key, wait());
    assert.deepEqual([await readdir(at("two")), locks.has(key)], [[], true]);
    await locks.release();
  });

  it("names nobody gone whose machine is unknown or another one", () => {
    assert.equal(holderIs({ ...newHolder(), machine: "", born: "1" }), "perhaps");
    assert.equal(holderIs({ ...elsewhere(), born: "1" }), "perhaps");
    assert.equal(holderIs(newHolder()), "alive");
    assert.equal(holderIs(gone()), "gone");
  });
});

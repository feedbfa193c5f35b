/** The lock that keeps two runs apart, over a real sshd. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { isKind } from "../../provider/core/errors.js";
import { HeldPlaces } from "../../provider/flows/move/locked.js";
import { type Holder, holderIs, newHolder } from "../../provider/journal/holder.js";
import { Locks } from "../../provider/journal/lock.js";
import { host, overSsh } from "../image/ssh-host.js";
import { until } from "../sandbox/command.js";

const key = "0a1b2c3d";

describe("the lock of a disk", function () {
  this.timeout(30_000);
  overSsh();
  let folder = "";
  const file = () => path.join(folder, `lm-${key}.lock`);
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "livedisk-lock '$(touch x)-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const take = (locks: Locks, stop = new AbortController().signal, said: (text: string) => void = () => {}) =>
    locks.take(folder, key, { said, stop });
  const elsewhere = (): Holder => ({ ...newHolder(), machine: "another machine", name: "runner-7" });
  async function lieThere(holder: object, ageSeconds = 0): Promise<void> {
    await writeFile(file(), `${JSON.stringify(holder)}\n`);
    const then = Date.now() / 1000 - ageSeconds;
    await utimes(file(), then, then);
  }
  const refusedFor = (words: RegExp) => (thrown: unknown) => isKind(thrown, "user") && words.test(thrown.message);

  it("is a file while it is held, taken twice by one run, and gone afterwards", async () => {
    const locks = new Locks(host);
    await take(locks);
    await take(locks);
    assert.deepEqual(JSON.parse(await readFile(file(), "utf8")), { ...locks.holder, places: [file()] });
    await locks.release();
    assert.deepEqual(await readdir(folder), []);
  });

  it("is had by one alone of many who ask at once", async () => {
    const all = Array.from({ length: 8 }, () => new Locks(host));
    const ends = await Promise.allSettled(all.map((locks) => take(locks)));
    assert.equal(ends.filter(({ status }) => status === "fulfilled").length, 1);
    for (const end of ends)
      if (end.status === "rejected") assert(refusedFor(/another run holds the lock .*Nothing was touched\./)(end.reason));
    await Promise.all(all.map((locks) => locks.release()));
    assert.deepEqual(await readdir(folder), []);
  });

  it("goes with the last manifest in one command, and no other lock does", async () => {
    const locks = new Locks(host);
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
    const locks = new Locks(host);
    const run = { progress: () => {}, say: () => {}, stop: new AbortController().signal, urn: "", credentials: {} };
    const places = [key, "ffffffff"].map((one, index) => ({ disk: `vd${"ab"[index]}`, key: one, directories: [folder] }));
    const held = new HeldPlaces(run, locks, places);
    await held.take();
    assert.equal(await held.takeBack(["vda", "vdb"]), false);
    for (const { key } of places) await held.giveBackWith(path.join(folder, "manifest"), key);
    assert.deepEqual(await readdir(folder), []);
    assert.equal(await held.takeBack(["vda"]), true);
    assert.deepEqual(await readdir(folder), [path.basename(file())]);
    await locks.release();
  });

  it("of a process of this machine that is gone is taken over at once", async () => {
    const { pid } = spawnSync("true");
    await lieThere({ ...newHolder(), pid });
    const locks = new Locks(host);
    const began = performance.now();
    await take(locks);
    assert(performance.now() - began < 5000);
    await locks.release();
  });

  it("of a process that is gone, once taken over, takes that one's other locks of the disk with it", async () => {
    const { pid } = spawnSync("true");
    const [other, foreign] = ["other", "foreign"].map((name) => path.join(folder, `${name}.lock`));
    const gone = { ...newHolder(), pid, places: [file(), other, foreign] };
    await lieThere(gone);
    await copyFile(file(), other ?? "");
    await writeFile(foreign ?? "", JSON.stringify(elsewhere()));
    const locks = new Locks(host);
    await take(locks);
    assert.deepEqual((await readdir(folder)).sort(), [path.basename(file()), "foreign.lock"].sort());
    await locks.release();
  });

  it("of a process whose number another one has now is taken over at once", async () => {
    await lieThere({ ...newHolder(), born: "1" });
    const locks = new Locks(host);
    await take(locks);
    await locks.release();
  });

  it("of a live process is refused however long it was silent", async () => {
    await lieThere(newHolder(), 3600);
    await assert.rejects(take(new Locks(host)), refusedFor(/another run holds the lock/));
    assert(existsSync(file()));
  });

  it("of a run elsewhere is taken over after a minute of silence, and not before", async () => {
    await lieThere(elsewhere(), 58);
    const said: string[] = [];
    const locks = new Locks(host);
    await take(locks, undefined, (text) => said.push(text));
    assert.match(said.join("\n"), /^waits for the lock of a run on runner-7 that has been silent for (58|59) s/);
    await locks.release();
  });

  it("beats as long as it is held, each of a run's, and none that is somebody else's by now", async () => {
    const locks = new Locks(host);
    const keys = [key, "ffffffff", "eeeeeeee"];
    const files = keys.map((each) => path.join(folder, `lm-${each}.lock`));
    for (const each of keys) await locks.take(folder, each, { said: () => {}, stop: new AbortController().signal });
    await writeFile(files[1] ?? "", `${JSON.stringify(elsewhere())}\n`);
    const longAgo = Date.now() / 1000 - 50;
    for (const each of files) await utimes(each, longAgo, longAgo);
    const ages = () => Promise.all(files.map(async (each) => ((await stat(each)).mtimeMs > 1000 * longAgo + 20_000 ? "beats" : "silent")));
    const haveBeaten = async () => ((await ages()).filter((age) => age === "beats").length >= 2 ? true : undefined);
    await until(25, haveBeaten, () => "They do not beat.");
    assert.deepEqual(await ages(), ["beats", "silent", "beats"]);
    await locks.release();
  });

  it("of a run elsewhere that beats is refused", async () => {
    await lieThere(elsewhere(), 30);
    const beating = take(new Locks(host), undefined, () => void lieThere(JSON.parse(JSON.stringify(elsewhere())), 0));
    await assert.rejects(beating, refusedFor(/on runner-7/));
  });

  it("is waited for no longer than the run is wanted", async () => {
    await lieThere(elsewhere(), 1);
    const stop = new AbortController();
    await assert.rejects(
      take(new Locks(host), stop.signal, () => stop.abort()),
      refusedFor(/another run holds the lock/),
    );
  });

  it("that somebody else has by now is not given back", async () => {
    const locks = new Locks(host);
    await take(locks);
    await lieThere(elsewhere());
    await locks.release();
    assert.match(await readFile(file(), "utf8"), /runner-7/);
  });

  it("is never taken through a symbolic link", async () => {
    await symlink(path.join(folder, "x"), file());
    await assert.rejects(take(new Locks(host)), refusedFor(/Unable to lock .*\.lock is a symbolic link\. Nothing was touched/));
    assert(!existsSync(path.join(folder, "x")));
  });

  it("that is none is refused in words", async () => {
    await writeFile(file(), "hello\n");
    await assert.rejects(
      take(new Locks(host)),
      refusedFor(/Unable to read the lock .*: it is not as we write it\. If no run is under way, remove it\./),
    );
  });

  it("names nobody gone whose machine is unknown", () => {
    assert.equal(holderIs({ ...newHolder(), machine: "", born: "1" }), "perhaps");
    assert.equal(holderIs(newHolder()), "alive");
  });
});

/** Locks of runs of 0.1.0, which know no flock: how long they count, and what such a run makes of ours. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { fileNames } from "../../provider/core/disk/names.js";
import { parseJson } from "../../provider/core/json.js";
import { watchSeconds } from "../../provider/journal/former-lock.js";
import { holderIs, newHolder } from "../../provider/journal/holder.js";
import { withWorkers } from "../host/worker/harness.js";
import { run, until } from "../sandbox/command.js";
import { SwiftWorld, thisWorld } from "../world.js";
import { schemaOf010, takeOf010 } from "./former-locks.js";
import { elsewhere, gone, key, LockScene, refusedFor, wait } from "./lock-scene.js";

/** A line with an arrow is a process that waits for the lock above it (proc_locks(5)). */
async function hasWaiter(directory: string): Promise<boolean> {
  const { ino } = await stat(directory);
  return (await readFile("/proc/locks", "utf8")).split("\n").some((line) => line.includes("-> FLOCK") && line.includes(`:${ino} `));
}

describe("a lock that 0.1.0 has written", function () {
  withWorkers(this);
  let scene: LockScene;
  beforeEach(async () => {
    scene = await LockScene.open();
  });
  const at = (name: string) => scene.at(name);

  for (const [who, holder, seconds] of [
    ["a process of this machine that is gone", gone, 0],
    ["a process whose number another one has now", () => ({ ...newHolder(thisWorld), born: "1" }), 0],
  ] as const) {
    it(`by ${who} is taken over at once, with its other locks of the disk`, async () => {
      const places = [scene.file("one"), scene.file("two"), at("two/another.lock")];
      const by = { ...holder(), places };
      await scene.says(by, { seconds });
      await scene.says(by, { seconds, directory: "two" });
      await writeFile(at("two/another.lock"), `${JSON.stringify(by)}\n`);
      const locks = await scene.locks();
      await locks.take(at("one"), key, wait());
      assert.deepEqual(JSON.parse(await scene.text()), { heldBy: locks.holder, lock: "flock" });
      assert.deepEqual(await readdir(at("two")), ["another.lock"]);
    });
  }

  it("by a run elsewhere that has been silent for more than a minute is taken over when it was watched for 20 s", async () => {
    await scene.says(elsewhere(), { seconds: 62 });
    const said: string[] = [];
    const world = new SwiftWorld();
    const locks = await scene.locks({ world, watchSeconds });
    await locks.take(
      at("one"),
      key,
      wait(undefined, (text) => said.push(text)),
    );
    assert.match(said[0] ?? "", /^waits for the lock of a run on runner-7 that has been silent for 6\d s$/);
    assert.deepEqual([said.length, world.clock()], [20, 20]);
    assert.deepEqual(JSON.parse(await scene.text()).heldBy, locks.holder);
  });

  for (const seconds of [61, -61])
    it(`by a run elsewhere that beats is refused by a host whose clock is ${seconds} s off the file's`, async () => {
      await scene.says(elsewhere(), { seconds: seconds + 1 });
      const text = await scene.text();
      const beats = () => void scene.says(text, { seconds });
      const locks = await scene.locks({ watchSeconds: 5 });
      await assert.rejects(locks.take(at("one"), key, wait(undefined, beats)), refusedFor(/on runner-7/));
      assert.equal(await scene.text(), text);
    });

  it("leaves the other places alone that another run has by now, and makes none", async () => {
    await scene.says({ ...gone(), places: [scene.file("one"), scene.file("two"), at(`none/${fileNames.lock(key)}`)] });
    await scene.says(elsewhere(), { directory: "two" });
    const locks = await scene.locks();
    await locks.take(at("one"), key, wait());
    assert.match(await scene.text("two"), /runner-7/);
    assert.deepEqual(await readdir(scene.folder), ["one", "two"]);
  });

  it("by a live process of this machine is refused however long it was silent", async () => {
    await scene.says(newHolder(thisWorld), { seconds: 3600 });
    const locks = await scene.locks();
    const words = /another run holds the lock \([0-9a-f]{16}, process \d+ on .*; its lock is .*\.lock\)\. Nothing was touched/;
    await assert.rejects(locks.take(at("one"), key, wait()), refusedFor(words));
    assert.deepEqual(JSON.parse(await scene.text()).pid, process.pid);
    assert.equal(locks.has(key), false);
  });

  it("by a run elsewhere that was silent for less than a minute is waited for, and refused when the run is stopped", async () => {
    await scene.says(elsewhere(), { seconds: 30 });
    const stop = new AbortController();
    const said: string[] = [];
    const asking = (await scene.locks()).take(
      at("one"),
      key,
      wait(stop.signal, (text) => stop.abort(said.push(text))),
    );
    await assert.rejects(asking, refusedFor(/another run holds the lock .* on runner-7/));
    assert.match(said.join("\n"), /^waits for the lock of a run on runner-7 that has been silent for 3\d s$/);
    assert.match(await scene.text(), /runner-7/);
  });

  it("by a run elsewhere that beats meanwhile is refused", async () => {
    await scene.says(elsewhere(), { seconds: 30 });
    const text = await scene.text();
    const beats = () => void scene.says(text);
    await assert.rejects((await scene.locks()).take(at("one"), key, wait(undefined, beats)), refusedFor(/on runner-7/));
    assert.equal(await scene.text(), text);
  });

  it("by a run elsewhere that gives it back meanwhile is had", async () => {
    await scene.says(elsewhere(), { seconds: 30 });
    const locks = await scene.locks();
    await locks.take(
      at("one"),
      key,
      wait(undefined, () => void run("rm", [scene.file()])),
    );
    assert.deepEqual(JSON.parse(await scene.text()).heldBy, locks.holder);
  });

  it("under the lock of whose directory somebody works is not taken over meanwhile; a file that comes in its place counts", async () => {
    await scene.says(gone());
    const script = 'umask 077; echo; read -r end; printf "%s\\n" "$1" >"$2.new" && mv "$2.new" "$2"';
    const next = { ...newHolder(thisWorld), run: "0123456789abcdef" };
    const under = spawn("flock", [at("one"), "sh", "-c", script, "sh", JSON.stringify(next), scene.file()]);
    await once(under.stdout, "data");
    const locks = await scene.locks();
    const taking = assert.rejects(locks.take(at("one"), key, wait()), refusedFor(/another run holds the lock \(0123456789abcdef, /));
    await until(
      10,
      async () => (await readFile("/proc/locks", "utf8")).includes(`:${(await stat(scene.file())).ino} `) || undefined,
      () => "the lock's file is not locked",
    );
    under.stdin.end("go\n");
    await taking;
    assert.deepEqual(JSON.parse(await scene.text()), next);
  });
});

describe("a run of 0.1.0 that meets our lock", function () {
  withWorkers(this);
  let scene: LockScene;
  beforeEach(async () => {
    scene = await LockScene.open();
  });
  const take = async (mine: string, former = "") =>
    (await run("sh", ["-c", takeOf010, "sh", scene.file(), mine, former])).split("\n").slice(1).join("\n").trim();

  it("gets it where there is none, which shows that the script is its own", async () => {
    const mine = JSON.stringify({ ...newHolder(thisWorld), places: [scene.file()] });
    assert.equal(await take(mine), mine);
    assert.equal(schemaOf010.safeParse(parseJson(mine)).success, true);
  });

  it("refuses it as not as it writes it, held or left behind, and leaves it", async () => {
    const locks = await scene.locks();
    await locks.take(scene.at("one"), key, wait());
    const text = (await scene.text()).trim();
    assert.equal(await take(JSON.stringify(elsewhere())), text);
    assert.equal(schemaOf010.safeParse(parseJson(text)).success, false);
    await locks.check();
  });

  it("refuses it before anything is written in it", async () => {
    await scene.says("");
    assert.equal(await take(JSON.stringify(elsewhere())), "");
    assert.equal(schemaOf010.safeParse(parseJson("")).success, false);
  });

  it("does not get one that we have taken over from the run that it knows to be gone", async () => {
    const former = { ...gone(), places: [scene.file()] };
    await scene.says(former);
    const locks = await scene.locks();
    await locks.take(scene.at("one"), key, wait());
    assert.match(await take(JSON.stringify(elsewhere()), JSON.stringify(former)), /"heldBy"/);
    await locks.check();
    assert.equal(holderIs(thisWorld, locks.holder), "alive");
  });

  it("waits with its look until we have written, and we with our writing until it has looked", async () => {
    const under = spawn("flock", [scene.at("one"), "sh", "-c", "echo; read -r end"]);
    await once(under.stdout, "data");
    const locks = await scene.locks();
    let isTaken = false;
    const taking = locks.take(scene.at("one"), key, wait()).then(() => {
      isTaken = true;
    });
    const looking = take(JSON.stringify(elsewhere()));
    await until(
      10,
      async () => ((await hasWaiter(scene.at("one"))) && (await readdir(scene.at("one"))).length > 0) || undefined,
      () => "nobody waits for the directory's lock",
    );
    assert.equal(isTaken, false);
    under.stdin.end();
    const [said] = await Promise.all([looking, taking]);
    assert.match(said, /^$|^\{"heldBy":/);
    assert.deepEqual(JSON.parse(await scene.text()).heldBy, locks.holder);
  });
});

/** A layer's copy on this machine: whole, cut, shared, and left; on real files and by the real program. */

import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { chmod, chown, mkdir, open, readFile, rename, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { type FileIdentity, identityOf } from "../../provider/core/disk/chain.js";
import { isKind } from "../../provider/core/errors.js";
import { seeFiles } from "../../provider/host/file-seen.js";
import { type CopyOptions, copyLayer, LeftBehind, Unproved } from "../../provider/storage/directory/copy.js";
import { Layer } from "../../provider/storage/directory/layer.js";
import { LayerPartial } from "../../provider/storage/directory/layer-partial.js";
import { keepLayer, layerStates, leaveLayer } from "../../provider/storage/directory/sidecar.js";
import { ShellHost } from "../host/shell-host.js";
import { localWorker, withWorkers } from "../host/worker/harness.js";
import { LocalHost } from "../hypervisor/qemu/local-host.js";
import { inMemory, type MadeFolder, makeFolder } from "../sandbox/folders.js";
import { SwiftWorld } from "../world.js";

const [A, B] = ["aaaaaaaa", "bbbbbbbb"] as const;
const isUser = (words: RegExp) => (thrown: unknown) => isKind(thrown, "user") && words.test(thrown.message);
const KIB = 1024;

describe("a layer's copy, on this machine", function () {
  withWorkers(this);
  let made: MadeFolder;
  const host = new ShellHost();
  const at = (name: string) => path.join(made.path, name);
  const [source, copy] = [() => at("source"), () => at("copy")];

  beforeEach(async () => {
    made = await makeFolder("livedisk copy ", inMemory);
    const file = await open(source(), "wx", 0o640);
    await file.truncate(3 * 1024 * KIB + 123);
    for (const offset of [0, 2048 * KIB]) await file.write(randomBytes(512 * KIB), 0, 512 * KIB, offset);
    await file.close();
  });
  afterEach(() => made.remove());

  async function identity(name: string): Promise<FileIdentity> {
    const [found] = await seeFiles(host, [at(name)], "follow");
    return identityOf(found ?? assert.fail(name));
  }

  async function options(more: Partial<CopyOptions> = {}): Promise<CopyOptions> {
    return {
      ...{ source: source(), sourceIdentity: await identity("source"), destination: copy(), user: A, maxBytesPerSecond: () => 0 },
      ...{ progress: () => {}, stop: new AbortController().signal, stallSeconds: 20, ...more },
    };
  }

  const copied = async (more: Partial<CopyOptions> = {}) => copyLayer(host, await options(more));
  const state = async (user: string = A) => (await layerStates(host, [copy()], user))[0];
  const names = () => readdirSync(made.path).sort();
  const sidecar = () => readFileSync(at("copy.lm-layer"), "utf8");
  const same = async () => assert((await readFile(source())).equals(await readFile(copy())));

  it("has every byte, the mode, and a sidecar that says so; nothing else stays", async () => {
    const seen: number[][] = [];
    assert.equal(await copied({ progress: (...each) => seen.push(each) }), "copied");
    await same();
    assert.equal((await stat(copy())).mode & 0o777, 0o640);
    assert.deepEqual(names(), ["copy", "copy.lm-layer", "source"]);
    const { ino, size } = await stat(copy());
    const { dev, ino: from, sizeBytes, modified, identity: of } = await identity("source");
    const { modified: finished, identity: is } = await identity("copy");
    const told = [`source ${dev} ${from} ${sizeBytes} ${modified}`, "backing as-in-source", `finished ${ino} ${size} ${finished}`];
    const beyond = [`source-is ${JSON.stringify(of)}`, `copy-is ${JSON.stringify(is)}`];
    assert.equal(sidecar(), ["pulumi-livedisk layer 1", ...told, ...beyond, `user ${A}`, "end", ""].join("\n"));
    assert.equal(seen[0]?.[0], 0);
    assert.equal(seen.at(-1)?.[0], seen.at(-1)?.[1]);
    assert((await stat(copy())).blocks < (await stat(copy())).size / 512, "its holes are holes");
  });

  it("is joined by another disk, and goes with the last that leaves it", async () => {
    await copied();
    assert.equal((await state(B))?.state, "kept");
    assert.equal(await copied({ user: B }), "joined");
    assert.equal((await state(B))?.state, "ours");
    assert.equal(await leaveLayer(host, copy(), A), "kept");
    assert.equal(await leaveLayer(host, copy(), A), "not-ours");
    assert.equal(await leaveLayer(host, copy(), B), "removed");
    assert.deepEqual(names(), ["source"]);
    assert.equal(await leaveLayer(host, copy(), B), "not-ours");
  });

  it("stays where a move has ended on it, and loses its sidecar with the last move", async () => {
    await copied();
    await copied({ user: B });
    await keepLayer(host, copy(), A);
    assert.match(sidecar(), /^user bbbbbbbb\nkept aaaaaaaa\nend$/m);
    assert.equal(await leaveLayer(host, copy(), A), "not-ours");
    assert.equal(await leaveLayer(host, copy(), B), "kept");
    assert.deepEqual(names(), ["copy", "source"]);
    assert.equal((await state())?.state, "foreign");
  });

  it("loses its sidecar where the only move has ended on it", async () => {
    await copied();
    await keepLayer(host, copy(), B);
    assert(existsSync(at("copy.lm-layer")), "not by a disk that does not stand on it");
    await keepLayer(host, copy(), A);
    assert.deepEqual(names(), ["copy", "source"]);
  });

  it("that somebody has replaced is none of ours, and stays", async () => {
    await copied();
    await rename(copy(), at("elsewhere"));
    await writeFile(copy(), "somebody's");
    assert.equal((await state())?.state, "foreign");
    assert.equal(await leaveLayer(host, copy(), A), "not-ours");
    assert.equal(await readFile(copy(), "utf8"), "somebody's");
  });

  it("that has its recorded inode and is another file is none of ours, and stays", async () => {
    await copied();
    await writeFile(at("copy.lm-layer"), sidecar().replace(/^(copy-is .*"handle":)[^,]*(,.*"birthNs":)[^,]*/m, '$1"1:other"$2"1"'));
    assert.equal((await state())?.state, "foreign");
    await assert.rejects(copied(), isUser(/a file that is not ours has that name already/));
    assert.equal(await leaveLayer(host, copy(), A), "not-ours");
    await same();
  });

  /** As 0.1.0 wrote it. */
  const forgetIdentities = async () => writeFile(at("copy.lm-layer"), sidecar().replace(/^(source|copy)-is .*\n/gm, ""));

  it("of 0.1.0 is gone on with by its own disk, joined by another one once it was compared, and kept by the last", async () => {
    await copied();
    await forgetIdentities();
    assert.equal(await copied(), "joined");
    await assert.rejects(
      copied({ user: B }),
      (thrown) => thrown instanceof Unproved && /it is not proved that the copy/.test(thrown.message),
    );
    const compared = await identity("copy");
    await assert.rejects(copied({ user: B, compared: { ...compared, modified: "1.000000000" } }), (thrown) => thrown instanceof Unproved);
    assert.equal(await copied({ user: B, compared }), "joined");
    assert.equal((await state(B))?.state, "ours");
    assert.equal(await leaveLayer(host, copy(), A), "kept");
    const told: string[] = [];
    const leaving = { stop: new AbortController().signal, kept: (text: string) => told.push(text) };
    assert.equal(await leaveLayer(host, copy(), B, leaving), "not-ours");
    assert.deepEqual(told, [`${copy()} is not proved to be the copy that was made there`]);
    assert.deepEqual(names(), ["copy", "source"]);
  });

  it("of another file, or with another backing name, is joined once it was compared", async () => {
    await copied();
    await rename(source(), at("before"));
    await writeFile(source(), await readFile(at("before")), { mode: 0o640 });
    await assert.rejects(copied({ user: B }), (thrown) => thrown instanceof Unproved);
    assert.equal(await copied({ user: B, compared: await identity("copy") }), "joined");
    assert.match(sidecar(), /^user aaaaaaaa\nuser bbbbbbbb\nend$/m);
  });

  it("is refused where the guest has another file open than the source", async () => {
    const { dev, ino } = await identity("source");
    await assert.rejects(copied({ openFiles: new Set([`${dev}:1`]) }), isUser(/source is not the file that the guest has open/));
    assert.deepEqual(names(), ["source"]);
    assert.equal(await copied({ openFiles: new Set([`${dev}:${ino}`]) }), "copied");
  });

  it("that was taken away is absent, and is made again", async () => {
    await copied();
    await rm(copy());
    assert.equal((await state())?.state, "absent");
    assert.equal(await copied(), "copied");
    await same();
  });

  const stopping = (more: Partial<CopyOptions> = {}) => {
    const stop = new AbortController();
    // a step of 100 KiB, and then the next word of how far it is
    return copied({ stop: stop.signal, maxBytesPerSecond: () => 1024 * KIB, progress: (done) => done > 0 && stop.abort(), ...more });
  };

  it("goes on from where it was stopped, with what is recorded as done and no more", async () => {
    await assert.rejects(stopping(), isUser(/it was stopped after \d+ KiB of 1 MiB\. Run `pulumi up` again to go on/));
    const seen = await state();
    assert(seen?.state === "partial", seen?.state);
    assert.match(sidecar(), /^partial [0-9a-f]{16} \d+ [1-9]\d*$/m);
    const partial = names().find((name) => name.startsWith("copy.lm-partial-")) ?? assert.fail(names().join());
    // all before 2 MiB is said to be there: so it is not copied again
    const doneBytes = Number(/^partial \S+ \d+ (\d+)$/m.exec(sidecar())?.[1]);
    await writeFile(at("copy.lm-layer"), sidecar().replace(/^(partial .*) \d+$/m, `$1 ${2048 * KIB}`));
    const { ino } = await stat(at(partial));
    const done: number[] = [];
    assert.equal(await copied({ progress: (bytes) => done.push(bytes) }), "copied");
    assert.equal((await stat(copy())).ino, ino);
    assert((done[0] ?? 0) >= 512 * KIB, `begins at ${done[0]}`);
    const [from, to] = [await readFile(source()), await readFile(copy())];
    assert(from.subarray(2048 * KIB).equals(to.subarray(2048 * KIB)));
    assert(from.subarray(0, doneBytes).equals(to.subarray(0, doneBytes)));
    assert(to.subarray(doneBytes, 2048 * KIB).every((byte) => byte === 0));
  });

  it("begins anew where nothing of it is recorded as done, or its partial has lost a part", async () => {
    for (const lost of [(text: string) => writeFile(at("copy.lm-layer"), text.replace(/^(partial .*) \d+$/m, "$1 0")), shortened]) {
      await assert.rejects(stopping());
      await lost(sidecar());
      assert.equal(await copied(), "copied");
      await same();
      assert.deepEqual(names(), ["copy", "copy.lm-layer", "source"]);
      await leaveLayer(host, copy(), A);
    }
  });
  const shortened = () => truncate(at(names().find((name) => name.startsWith("copy.lm-partial-")) ?? assert.fail()), 1);

  it("begins again where its partial is another file", async () => {
    await assert.rejects(stopping());
    const partial = names().find((name) => name.startsWith("copy.lm-partial-")) ?? assert.fail();
    await rename(at(partial), at("elsewhere"));
    await writeFile(at(partial), "somebody's");
    assert.equal(await copied(), "copied");
    await same();
    assert.equal(await readFile(at(partial), "utf8"), "somebody's");
  });

  it("loses its partial with the disk that leaves it, but not somebody's file of that name", async () => {
    await assert.rejects(stopping());
    const partial = names().find((name) => name.startsWith("copy.lm-partial-")) ?? assert.fail();
    const text = sidecar();
    assert.equal(await leaveLayer(host, copy(), A), "removed");
    assert.deepEqual(names(), ["source"]);
    await writeFile(at("copy.lm-layer"), text);
    await writeFile(at("first"), "");
    await writeFile(at(partial), "somebody's");
    await leaveLayer(host, copy(), A);
    assert(existsSync(at(partial)));
  });

  it("is refused where the source is another file than was looked at, has changed, or is no file", async () => {
    const before = await options();
    for (const different of [{ ino: "1" }, { sizeBytes: 1 }, { modified: "1.000000000" }])
      await assert.rejects(
        copied({ sourceIdentity: { ...before.sourceIdentity, ...different } }),
        isUser(/has changed since it was looked at/),
      );
    assert.deepEqual(names(), ["source"]);
  });

  it("is removed where the source changes meanwhile", async () => {
    let changed = false;
    const progress = () => {
      if (changed) return;
      changed = true;
      require("node:fs").appendFileSync(source(), "x");
    };
    await assert.rejects(copied({ progress }), isUser(/changed while it was copied, so the copy was removed/));
    assert.deepEqual(names(), ["source"]);
  });

  it("is refused where somebody's file, or a link, has its name, and leaves no lock", async () => {
    await writeFile(copy(), "somebody's");
    await assert.rejects(copied(), (thrown) => thrown instanceof LeftBehind);
    assert.deepEqual(names(), ["copy", "source"]);
    await rm(copy());
    await symlink("nowhere", copy());
    await assert.rejects(copied(), (thrown) => isKind(thrown, "user") && !(thrown instanceof LeftBehind));
    assert.deepEqual(names(), ["copy", "source"]);
  });

  it("is refused with a sidecar that is a link, a folder, or somebody's", async () => {
    await symlink("nowhere", at("copy.lm-layer"));
    await assert.rejects(copied(), isUser(/it is not a regular file; move it away/));
    assert(!existsSync(at("nowhere")));
    await rm(at("copy.lm-layer"));
    await writeFile(at("copy.lm-layer"), "hello\n");
    await assert.rejects(copied(), isUser(/was not written by this program/));
    assert.equal(sidecar(), "hello\n");
    assert.equal((await state())?.state, "foreign");
  });

  it("is finished with the recorded size, whatever a partial grew to", async () => {
    await assert.rejects(stopping());
    const partial = names().find((name) => name.startsWith("copy.lm-partial-")) ?? assert.fail();
    await truncate(at(partial), 9 * 1024 * KIB);
    await copied();
    await same();
  });

  it("is worked on by one at a time: its lock is held as long as the layer is open", async () => {
    const options = { destination: copy(), source: source(), stallSeconds: 10 };
    const other = Object.assign(new LocalHost(), { worker: () => localWorker() });
    const first = await Layer.lock(other, options, "make");
    assert(first instanceof Layer);
    assert.equal(await Layer.lock(host, options, "make"), "busy");
    await assert.rejects(copied({ stallSeconds: 0.1 }), isUser(/process \d+ has its lock, and the copy has not grown for 0\.1 s/));
    await first.close();
    const second = await Layer.lock(host, options, "expect");
    assert(second instanceof Layer);
    await second.forget();
    await second.close();
    assert.equal(await Layer.lock(host, options, "expect"), "absent");
  });

  it("still has its lock after its sidecar was replaced by a record", async () => {
    const options = { destination: copy(), source: source(), stallSeconds: 10 };
    const first = await Layer.lock(host, options, "make");
    assert(first instanceof Layer);
    await first.write({ ...(await begun()), copy: { phase: "partial", suffix: "0123456789abcdef", doneBytes: 0 } });
    assert.equal(await Layer.lock(host, options, "make"), "busy");
    await first.close();
  });

  const begun = async () => ({
    ...{ origin: { source: await identity("source"), backing: "as-in-source" }, moving: [A], kept: [] },
  });

  it("keeps a run of 0.1.0 out, and waits for one", async () => {
    const flock = (held: string) => spawnSync("flock", ["-n", at("copy.lm-layer"), "echo", held], { encoding: "utf8" }).stdout;
    let during = "not asked";
    const progress = (done: number) => {
      if (done > 0) during = flock("taken");
    };
    await copied({ progress, maxBytesPerSecond: () => 4096 * KIB });
    assert.equal(during, "", "0.1.0 asks for the same lock");
    const { mode } = await stat(at("copy.lm-layer"));
    assert.equal(mode & 0o777, 0o600);
    // as 0.1.0 made it
    await chmod(at("copy.lm-layer"), 0o644);
    const holder = spawn("flock", [at("copy.lm-layer"), "sh", "-c", "echo locked; read _"], { stdio: ["pipe", "pipe", "inherit"] });
    try {
      await once(holder.stdout, "data");
      const swift = Object.assign(new ShellHost(), { world: new SwiftWorld() });
      await assert.rejects(copyLayer(swift, await options({ user: B })), isUser(/process [\d, ]+ has its lock, .* not grown for 20 s/));
      assert(swift.world.clock() > 20 && swift.world.clock() < 21, `${swift.world.clock()}`);
      const joined = copied({ user: B });
      holder.stdin.end("\n");
      assert.equal(await joined, "joined");
    } finally {
      holder.kill();
    }
  });

  it("that 0.1.0 has begun is gone on with", async () => {
    const { dev, ino, sizeBytes, modified } = await identity("source");
    const partial = at("copy.lm-partial-0123456789abcdef");
    const file = await open(partial, "wx", 0o600);
    await file.write((await readFile(source())).subarray(0, 512 * KIB));
    await file.truncate(sizeBytes);
    await file.close();
    const text = `pulumi-livedisk layer 1\nsource ${dev} ${ino} ${sizeBytes} ${modified}\nbacking as-in-source\npartial 0123456789abcdef ${(await stat(partial)).ino} ${512 * KIB}\nuser ${A}\nend\n`;
    await writeFile(at("copy.lm-layer"), text, { mode: 0o644 });
    const before = (await stat(partial)).ino;
    const done: number[] = [];
    assert.equal(await copied({ progress: (bytes) => done.push(bytes) }), "copied");
    await same();
    assert.deepEqual([(await stat(copy())).ino, done[0]], [before, 512 * KIB]);
  });

  it("never takes a name that is taken meanwhile, and removes only the file that is meant", async () => {
    const layer = await Layer.lock(host, { destination: copy(), source: source(), stallSeconds: 10 }, "make");
    assert(layer instanceof Layer);
    const suffix = "0123456789abcdef";
    assert.equal(await layer.partial(suffix), undefined);
    const partial = await layer.createPartial(suffix);
    assert.deepEqual([partial.seen.sizeBytes, (await stat(at(`copy.lm-partial-${suffix}`))).mode & 0o777], [0, 0o600]);
    await assert.rejects(layer.createPartial(suffix), /exists/);
    await writeFile(copy(), "somebody's");
    const ours = await layer.partial(suffix);
    assert(ours instanceof LayerPartial);
    await assert.rejects(layer.place(ours), /a file that is not ours has that name already/);
    assert.equal(await readFile(copy(), "utf8"), "somebody's");
    await layer.removeLayer({ phase: "finished", ino: "1", sizeBytes: 1, modified: "1" });
    await rename(at(`copy.lm-partial-${suffix}`), at("elsewhere"));
    await writeFile(at(`copy.lm-partial-${suffix}`), "somebody's");
    await assert.rejects(ours.remove(), { failure: "other-file" });
    assert(existsSync(copy()) && existsSync(at(`copy.lm-partial-${suffix}`)));
    await rename(at("elsewhere"), at(`copy.lm-partial-${suffix}`));
    await ours.remove();
    assert(!existsSync(at(`copy.lm-partial-${suffix}`)));
    await layer.close();
  });

  it("is not reached through a FIFO, a link or another account's file: each is refused at once", async function () {
    if (process.getuid?.() !== 0) this.skip(); // only root can give files away
    const strange: [string, (file: string) => unknown, RegExp][] = [
      ["a FIFO", (file) => execFileSync("mkfifo", ["-m", "600", file]), /it is not a regular file; move it away/],
      ["a link to a FIFO", (file) => symlink("fifo", file), /it is not a regular file; move it away/],
      ["a folder", (file) => mkdir(file), /it is not a regular file; move it away/],
      ["another account's", (file) => writeFile(file, "").then(() => chown(file, 65534, 65534)), /belongs to the account 65534.* chown/],
      ["all may write", (file) => writeFile(file, "").then(() => chmod(file, 0o666)), /others may use it.* chmod/],
    ];
    execFileSync("mkfifo", [at("fifo")]);
    for (const [what, make, words] of strange) {
      await make(at("copy.lm-layer"));
      await assert.rejects(copied({ stallSeconds: 5 }), isUser(words), what);
      if (what !== "all may write" && what !== "another account's") assert.equal((await state())?.state, "foreign", what);
      await rm(at("copy.lm-layer"), { recursive: true });
    }
    for (const make of strange.slice(0, 3).map(([, make]) => make)) {
      await assert.rejects(stopping());
      const partial = names().find((name) => name.startsWith("copy.lm-partial-")) ?? assert.fail();
      await rm(at(partial));
      await make(at(partial));
      assert.equal(await copied({ stallSeconds: 5 }), "copied");
      await same();
      assert(existsSync(at(partial)) || names().includes(partial));
      await rm(at(partial), { recursive: true });
      await leaveLayer(host, copy(), A);
    }
  });
});

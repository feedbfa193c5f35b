/** A layer's copy on this machine: whole, cut, shared, and left; on real files and by the real program. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { open, readFile, rename, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import type { FileIdentity } from "../../provider/core/disk/chain.js";
import { isKind } from "../../provider/core/errors.js";
import { statFiles } from "../../provider/host/files.js";
import { type CopyOptions, copyLayer, LeftBehind } from "../../provider/storage/directory/copy.js";
import { LayerShell } from "../../provider/storage/directory/layer-shell.js";
import { keepLayer, layerStates, leaveLayer } from "../../provider/storage/directory/sidecar.js";
import { ShellHost } from "../host/shell-host.js";
import { LocalHost } from "../hypervisor/qemu/local-host.js";
import { inMemory, type MadeFolder, makeFolder } from "../sandbox/folders.js";

const [A, B] = ["aaaaaaaa", "bbbbbbbb"] as const;
const isUser = (words: RegExp) => (thrown: unknown) => isKind(thrown, "user") && words.test(thrown.message);
const KIB = 1024;

describe("a layer's copy, on this machine", () => {
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
    const [found] = await statFiles(host, [at(name)], "follow");
    const { dev, ino, sizeBytes, modified } = found ?? assert.fail(name);
    return { dev, ino, sizeBytes, modified };
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
    const { dev, ino: from, sizeBytes, modified } = await identity("source");
    assert.equal(
      sidecar(),
      `pulumi-livedisk layer 1\nsource ${dev} ${from} ${sizeBytes} ${modified}\nbacking as-in-source\nfinished ${ino} ${size} ${(await identity("copy")).modified}\nuser ${A}\nend\n`,
    );
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

  it("that was taken away is absent, and is made again", async () => {
    await copied();
    await rm(copy());
    assert.equal((await state())?.state, "absent");
    assert.equal(await copied(), "copied");
    await same();
  });

  it("goes on from where it was stopped, with what is recorded as done and no more", async () => {
    const stop = new AbortController();
    await assert.rejects(
      copied({ stop: stop.signal, progress: () => stop.abort() }),
      isUser(/it was stopped after 0 bytes of \d+ MiB\. Run `pulumi up` again to go on/),
    );
    const seen = await state();
    assert(seen?.state === "partial", seen?.state);
    assert.match(sidecar(), /^partial [0-9a-f]{16} \d+ 0$/m);
    const partial = names().find((name) => name.startsWith("copy.lm-partial-")) ?? assert.fail(names().join());
    // all before 2 MiB is said to be there: so it is not copied again
    await writeFile(at("copy.lm-layer"), sidecar().replace(/^(partial .*) 0$/m, `$1 ${2048 * KIB}`));
    const { ino } = await stat(at(partial));
    const done: number[] = [];
    assert.equal(await copied({ progress: (bytes) => done.push(bytes) }), "copied");
    assert.equal((await stat(copy())).ino, ino);
    assert((done[0] ?? 0) >= 512 * KIB, `begins at ${done[0]}`);
    const [from, to] = [await readFile(source()), await readFile(copy())];
    assert(from.subarray(2048 * KIB).equals(to.subarray(2048 * KIB)));
    // the first block was written to find out about direct I/O, with what is there anyway
    assert(to.subarray(4096, 2048 * KIB).every((byte) => byte === 0));
  });

  it("begins again where its partial is another file", async () => {
    const stop = new AbortController();
    await assert.rejects(copied({ stop: stop.signal, progress: () => stop.abort() }));
    const partial = names().find((name) => name.startsWith("copy.lm-partial-")) ?? assert.fail();
    await rename(at(partial), at("elsewhere"));
    await writeFile(at(partial), "somebody's");
    assert.equal(await copied(), "copied");
    await same();
    assert.equal(await readFile(at(partial), "utf8"), "somebody's");
  });

  it("loses its partial with the disk that leaves it, but not somebody's file of that name", async () => {
    const stop = new AbortController();
    await assert.rejects(copied({ stop: stop.signal, progress: () => stop.abort() }));
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
    const stop = new AbortController();
    await assert.rejects(copied({ stop: stop.signal, progress: () => stop.abort() }));
    const partial = names().find((name) => name.startsWith("copy.lm-partial-")) ?? assert.fail();
    await truncate(at(partial), 9 * 1024 * KIB);
    await copied();
    await same();
  });

  it("is worked on by one at a time: its lock is held as long as the shell is open", async () => {
    const shellOptions = { destination: copy(), source: source(), stallSeconds: 10 };
    const first = await LayerShell.lock(new LocalHost(), shellOptions, "make");
    assert(first instanceof LayerShell);
    assert.equal(await LayerShell.lock(new LocalHost(), shellOptions, "make"), "busy");
    await assert.rejects(copied({ stallSeconds: 0.1 }), isUser(/process \d+ has its lock, and the copy has not grown for 0\.1 s/));
    await first.close();
    const second = await LayerShell.lock(new LocalHost(), shellOptions, "expect");
    assert(second instanceof LayerShell);
    await second.forget();
    await second.close();
    assert.equal(await LayerShell.lock(new LocalHost(), shellOptions, "expect"), "absent");
  });

  it("still has its lock after its sidecar was replaced by a record", async () => {
    const shellOptions = { destination: copy(), source: source(), stallSeconds: 10 };
    const first = await LayerShell.lock(new LocalHost(), shellOptions, "make");
    assert(first instanceof LayerShell);
    const { sourceIdentity } = await options();
    await first.write({
      origin: { source: sourceIdentity, backing: "as-in-source" },
      copy: { phase: "partial", suffix: "0123456789abcdef", doneBytes: 0 },
      moving: [A],
      kept: [],
    });
    assert.equal(await LayerShell.lock(new LocalHost(), shellOptions, "make"), "busy");
    await first.close();
  });

  it("never takes a name that is taken meanwhile, and removes only the file that is meant", async () => {
    const shell = await LayerShell.lock(new LocalHost(), { destination: copy(), source: source(), stallSeconds: 10 }, "make");
    assert(shell instanceof LayerShell);
    assert.equal(await shell.usePartial("0123456789abcdef"), undefined);
    const partial = await shell.createPartial(4096);
    assert.deepEqual(
      [partial?.sizeBytes, partial?.allocatedBytes, (await stat(at("copy.lm-partial-0123456789abcdef"))).mode & 0o777],
      [4096, 0, 0o600],
    );
    await assert.rejects(shell.createPartial(4096), /exists/);
    await writeFile(copy(), "somebody's");
    await assert.rejects(shell.place());
    assert.equal(await readFile(copy(), "utf8"), "somebody's");
    await shell.removeLayer("1");
    await shell.discardPartial("1");
    assert(existsSync(copy()) && existsSync(at("copy.lm-partial-0123456789abcdef")));
    await shell.discardPartial(partial?.ino ?? "");
    assert(!existsSync(at("copy.lm-partial-0123456789abcdef")));
    await shell.close();
  });
});

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, existsSync, lstatSync, readFileSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isKind } from "../../provider/core/errors.js";
import { copyLayer } from "../../provider/storage/directory/copy.js";
import { keepLayer, layerStates, leaveLayer } from "../../provider/storage/directory/sidecar.js";
import { assertSameBytes, copyOptions, identityOf, MIB, namesIn, scratch, sparseFile, undoAll, undoLater } from "./files.js";
import { host, hostArgsText, overSsh } from "./ssh-host.js";

const [A, B, C] = ["aaaaaaaa", "bbbbbbbb", "cccccccc"] as const;

async function layer(context: Mocha.Context, bytes = 3 * MIB) {
  const { source, destination, root } = await scratch(context);
  const [from, to] = [join(source, "base"), join(destination, "base")];
  await sparseFile(from, bytes, [{ at: 0, bytes }]);
  return { from, to, destination, root };
}

const refusedFor = (words: RegExp) => (thrown: Error) => {
  assert(isKind(thrown, "user"), thrown.stack);
  assert.match(thrown.message, words);
  return true;
};

const states = async (path: string, user: string) => (await layerStates(host, [path], user))[0];

describe("a layer that several disks stand on", () => {
  overSsh();
  afterEach(undoAll);

  it("is copied once, and goes with the last disk that leaves it", async function () {
    const { from, to, destination } = await layer(this);
    assert.equal((await states(to, A))?.state, "absent");
    assert.equal(await copyLayer(host, copyOptions(from, to, { user: A })), "copied");
    const { ino } = identityOf(to);
    assert.equal((await states(to, B))?.state, "kept");
    assert.equal(await copyLayer(host, copyOptions(from, to, { user: B })), "joined");
    assert.equal(await copyLayer(host, copyOptions(from, to, { user: B })), "joined");
    assert.equal(identityOf(to).ino, ino);
    const seen = await states(to, B);
    assert(seen?.state === "ours");
    assert.deepEqual([seen.moving, seen.source], [[A, B], identityOf(from)]);
    assert.equal(await leaveLayer(host, to, A), "kept");
    assert.equal(await leaveLayer(host, to, A), "not-ours");
    assertSameBytes(from, to);
    assert.equal(await leaveLayer(host, to, B), "removed");
    assert.deepEqual(namesIn(destination), []);
    assert.equal(await leaveLayer(host, to, B), "not-ours");
  });

  it("stays when one disk's move has ended on it, whoever leaves later", async function () {
    const { from, to, destination } = await layer(this);
    for (const user of [A, B, C]) await copyLayer(host, copyOptions(from, to, { user }));
    await keepLayer(host, to, A);
    await keepLayer(host, to, A);
    assert.equal(await leaveLayer(host, to, A), "not-ours");
    assert.equal(await leaveLayer(host, to, B), "kept");
    assert.deepEqual(namesIn(destination), ["base", "base.lm-layer"]);
    assert.equal(await leaveLayer(host, to, C), "kept");
    assert.deepEqual(namesIn(destination), ["base"]);
    assertSameBytes(from, to);
  });

  it("loses its sidecar when the last move has ended", async function () {
    const { from, to, destination } = await layer(this);
    for (const user of [A, B]) await copyLayer(host, copyOptions(from, to, { user }));
    await keepLayer(host, to, A);
    await keepLayer(host, to, B);
    await keepLayer(host, to, B);
    assert.deepEqual(namesIn(destination), ["base"]);
    assert.equal((await states(to, A))?.state, "foreign");
  });

  it("is not joined by a disk that wants another backing name in it", async function () {
    const { from, to } = await layer(this);
    await copyLayer(host, copyOptions(from, to, { user: A }));
    const other = copyOptions(from, to, { user: B, rewriteBacking: { name: "/elsewhere", format: "raw" } });
    await assert.rejects(copyLayer(host, other), refusedFor(/another backing name/));
  });

  it("is copied once by three movers of one process", async function () {
    const { from, to } = await layer(this, 30 * MIB);
    const heard: string[] = [];
    const waiting = (text: string) => heard.push(text);
    const outcomes = await Promise.all([A, B, C].map((user) => copyLayer(host, copyOptions(from, to, { user, waiting }))));
    assert.deepEqual(outcomes.sort(), ["copied", "joined", "joined"]);
    assert.equal(heard.length, 2);
    const seen = await states(to, A);
    assert(seen?.state === "ours");
    assert.deepEqual([...seen.moving].sort(), [A, B, C]);
  });

  it("is copied once by movers of several processes", async function () {
    const { from, to } = await layer(this, 24 * MIB);
    const clients = [A, B, C].map((user) => {
      const args = [join(__dirname, "copying-client.js"), hostArgsText(), from, to, String(40 * MIB), user];
      return spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    });
    undoLater(this, () => clients.forEach((client) => void client.kill()));
    const printed = await Promise.all(clients.map(async ({ stdout }) => (await stdout.toArray()).join("").trim().split("\n").at(-1)));
    assert.deepEqual(printed.sort(), ["copied", "joined", "joined"]);
    assertSameBytes(from, to);
  });

  it("is left while another disk goes on copying it", async function () {
    const { from, to, destination } = await layer(this, 20 * MIB);
    const stop = new AbortController();
    const progress = (done: number) => done > 0 && stop.abort();
    await assert.rejects(
      copyLayer(host, copyOptions(from, to, { user: A, stop: stop.signal, progress, maxBytesPerSecond: () => 20 * MIB })),
    );
    assert.equal(await copyLayer(host, copyOptions(from, to, { user: B })), "copied");
    assert.equal(await leaveLayer(host, to, A), "kept");
    assert.equal(await leaveLayer(host, to, B), "removed");
    assert.deepEqual(namesIn(destination), []);
  });

  it("takes its partial along when its only disk leaves in the middle", async function () {
    const { from, to, destination } = await layer(this, 20 * MIB);
    const stop = new AbortController();
    const progress = (done: number) => done > 0 && stop.abort();
    await assert.rejects(copyLayer(host, copyOptions(from, to, { stop: stop.signal, progress, maxBytesPerSecond: () => 20 * MIB })));
    assert.equal(namesIn(destination).length, 2);
    assert.equal(await leaveLayer(host, to, A), "removed");
    assert.deepEqual(namesIn(destination), []);
  });

  it("is not removed when it is another file by now", async function () {
    const { from, to, destination } = await layer(this);
    await copyLayer(host, copyOptions(from, to));
    renameSync(to, `${to}.old`);
    writeFileSync(to, "somebody else's");
    assert.equal((await states(to, A))?.state, "foreign");
    assert.equal(await leaveLayer(host, to, A), "not-ours");
    assert.deepEqual(namesIn(destination), ["base", "base.old"]);
  });
});

describe("files that are not ours", () => {
  overSsh();
  afterEach(undoAll);

  it("are never replaced by a copy", async function () {
    const { from, to, destination } = await layer(this);
    writeFileSync(to, "precious");
    await assert.rejects(copyLayer(host, copyOptions(from, to)), refusedFor(/not ours has that name/));
    assert.equal(readFileSync(to, "utf8"), "precious");
    assert.deepEqual(namesIn(destination), ["base"]);
  });

  for (const [kind, text] of [
    ["foreign", "hello\n"],
    ["cut", "pulumi-livedisk layer 1\nsource 1 2"],
    ["binary", "\0\0\0"],
  ] as const) {
    it(`are refused as a sidecar (${kind})`, async function () {
      const { from, to } = await layer(this);
      writeFileSync(`${to}.lm-layer`, text);
      await assert.rejects(copyLayer(host, copyOptions(from, to)), refusedFor(/sidecar \(\.lm-layer\) was not written by this program/));
      assert.equal(await leaveLayer(host, to, A), "not-ours");
      assert.equal((await states(to, A))?.state, "foreign");
      assert.equal(readFileSync(`${to}.lm-layer`, "utf8"), text);
    });
  }

  it("are refused as a sidecar that was changed by hand", async function () {
    const { from, to } = await layer(this);
    await copyLayer(host, copyOptions(from, to));
    appendFileSync(`${to}.lm-layer`, "user dddddddd\n");
    await assert.rejects(copyLayer(host, copyOptions(from, to)), refusedFor(/changed by hand/));
  });

  for (const place of ["base", "base.lm-layer", "base.lm-layer.new"]) {
    for (const leadsTo of ["a file", "nothing", "a fifo"]) {
      it(`are not reached through a link at ${place} to ${leadsTo}`, async function () {
        const { from, to, destination, root } = await layer(this);
        const victim = join(root, "victim");
        if (leadsTo === "a file") writeFileSync(victim, "precious");
        if (leadsTo === "a fifo") execFileSync("mkfifo", [victim]);
        symlinkSync(victim, join(destination, place));
        const copy = copyLayer(host, copyOptions(from, to));
        if (place === "base.lm-layer.new") assert.equal(await copy, "copied");
        else await assert.rejects(copy, refusedFor(/not ours|not a regular file/));
        if (leadsTo === "a file") assert.equal(readFileSync(victim, "utf8"), "precious");
        else assert.equal(existsSync(victim), leadsTo === "a fifo");
        if (place !== "base.lm-layer.new") assert(lstatSync(join(destination, place)).isSymbolicLink());
      });
    }
  }

  it("are not written through a link at the partial's name", async function () {
    const { from, to, destination, root } = await layer(this, 20 * MIB);
    const stop = new AbortController();
    const progress = (done: number) => done > 0 && stop.abort();
    await assert.rejects(copyLayer(host, copyOptions(from, to, { stop: stop.signal, progress, maxBytesPerSecond: () => 20 * MIB })));
    const partial = join(destination, namesIn(destination).find((name) => name.includes(".lm-partial-")) ?? "");
    const victim = join(root, "victim");
    writeFileSync(victim, "precious");
    rmSync(partial);
    symlinkSync(victim, partial);
    assert.equal(await copyLayer(host, copyOptions(from, to)), "copied");
    assert.equal(readFileSync(victim, "utf8"), "precious");
    assertSameBytes(from, to);
  });
});

describe("a source that changes", () => {
  overSsh();
  afterEach(undoAll);
  const changes: [string, (path: string) => void][] = [
    ["grows", (path) => appendFileSync(path, "more")],
    ["shrinks", (path) => execFileSync("truncate", ["-s", "1M", path])],
    ["is written to", (path) => execFileSync("dd", ["if=/dev/zero", `of=${path}`, "bs=512", "count=1", "conv=notrunc", "status=none"])],
    ["is touched", (path) => utimesSync(path, 1, 1)],
    [
      "is replaced",
      (path) => {
        execFileSync("cp", ["-p", path, `${path}.new`]);
        renameSync(`${path}.new`, path);
      },
    ],
  ];
  for (const [what, change] of changes) {
    it(`is refused when it ${what} during the copy, and nothing stays`, async function () {
      const { from, to, destination } = await layer(this, 5 * MIB);
      const options = copyOptions(from, to);
      let once = () => {
        once = () => {};
        change(from);
      };
      const copy = copyLayer(host, { ...options, progress: () => once() });
      await assert.rejects(
        copy,
        (thrown: Error) =>
          refusedFor(/changed while it was copied/)(thrown) && thrown.message.includes(from) && thrown.message.includes(to),
      );
      assert.deepEqual(namesIn(destination), []);
    });
  }

  it("is refused when it is not what it was before the copy, and nothing is made", async function () {
    const { from, to, destination } = await layer(this);
    const options = copyOptions(from, to);
    appendFileSync(from, "more");
    await assert.rejects(copyLayer(host, options), refusedFor(/has changed since/));
    assert.deepEqual(namesIn(destination), []);
  });

  it("makes the next copy start anew", async function () {
    const { from, to, destination } = await layer(this, 20 * MIB);
    const stop = new AbortController();
    const progress = (done: number) => done > 0 && stop.abort();
    await assert.rejects(copyLayer(host, copyOptions(from, to, { stop: stop.signal, progress, maxBytesPerSecond: () => 20 * MIB })));
    appendFileSync(from, "more");
    assert.equal(await copyLayer(host, copyOptions(from, to)), "copied");
    assertSameBytes(from, to);
    assert.deepEqual(namesIn(destination), ["base", "base.lm-layer"]);
  });

  it("may be named by a link, whose file is copied", async function () {
    const { from, to, root } = await layer(this);
    const link = join(root, "link");
    symlinkSync(from, link);
    assert.equal(await copyLayer(host, copyOptions(link, to)), "copied");
    assert(lstatSync(to).isFile());
    assertSameBytes(from, to);
  });
});

describe("the rate of a copy", () => {
  overSsh();
  afterEach(undoAll);

  it("is obeyed, and asked again while it runs", async function () {
    const { from, to } = await layer(this, 24 * MIB);
    let rate = 8 * MIB;
    const marks: { at: number; done: number }[] = [];
    const progress = (done: number) => {
      marks.push({ at: performance.now(), done });
      if (done >= 12 * MIB) rate = 0;
    };
    await copyLayer(host, copyOptions(from, to, { maxBytesPerSecond: () => rate, progress }));
    const [first, last] = [marks[0], marks.find(({ done }) => done >= 12 * MIB)];
    assert(first !== undefined && last !== undefined);
    const seconds = (last.at - first.at) / 1000;
    assert(seconds > 0.9 && seconds < 4, `12 MiB at 8 MiB/s took ${seconds} s`);
    assert.equal(marks.at(-1)?.done, 24 * MIB);
    const after = marks.slice(marks.indexOf(last) + 1);
    assert(after.length < 6, `${after.length} steps for the rest: the limit was not lifted`);
  });
});

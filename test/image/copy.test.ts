import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, linkSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { copyLayer } from "../../provider/storage/directory/copy.js";
import { localWorker, withWorkers } from "../host/worker/harness.js";
import { allocatedBytes, assertSameBytes, copyOptions, MIB, namesIn, scratch, sparseFile, undoAll } from "./files.js";
import { host, overSsh } from "./ssh-host.js";

describe("copying a layer", function () {
  withWorkers(this);
  overSsh();
  afterEach(undoAll);

  it("brings every byte, keeps the holes, and takes over mode and owner", async function () {
    const { source, destination } = await scratch(this);
    const from = join(source, "base.raw");
    const to = join(destination, "base.raw");
    await sparseFile(from, 300 * MIB + 1234, [
      { at: 0, bytes: 70 * MIB },
      { at: 100 * MIB + 4096 * 3, bytes: 5000 },
      { at: 300 * MIB, bytes: 1234 },
    ]);
    chmodSync(from, 0o640);
    execFileSync("chown", ["1234:2345", from]);
    const seen: [number, number][] = [];
    assert.equal(await copyLayer(host, copyOptions(from, to, { progress: (...at) => seen.push(at) })), "copied");
    assertSameBytes(from, to);
    assert(Math.abs(allocatedBytes(from) - allocatedBytes(to)) <= MIB, `${allocatedBytes(from)} ${allocatedBytes(to)}`);
    const { mode, uid, gid } = statSync(to);
    assert.deepEqual([mode & 0o7777, uid, gid], [0o640, 1234, 2345]);
    assert.deepEqual(namesIn(destination), ["base.raw", "base.raw.lm-layer"]);
    assert.equal(seen[0]?.[0], 0);
    assert.deepEqual(seen.at(-1)?.[0], seen.at(-1)?.[1]);
  });

  const oddNames = [
    "with space",
    'it\'s "quoted"',
    "$(touch planted)",
    "a,b=c",
    "-dash",
    "new\nline",
    "bäse-日本",
    "a:b.qcow2",
    "back\\nslash",
    "*",
    "%s",
  ];
  it("copies files whatever their names", async function () {
    const { source, destination, root } = await scratch(this);
    const copyNamed = async (name: string) => {
      writeFileSync(join(source, name), `content of ${name}`);
      assert.equal(await copyLayer(host, copyOptions(join(source, name), join(destination, name))), "copied");
      assertSameBytes(join(source, name), join(destination, name));
    };
    await Promise.all(oddNames.map(copyNamed));
    assert.deepEqual(namesIn(destination), oddNames.flatMap((name) => [name, `${name}.lm-layer`]).sort());
    assert.deepEqual(namesIn(root), ["from", "to"]);
  });

  it("records a copy whose name was given by a run that died right after", async function () {
    const { source, destination } = await scratch(this);
    const [from, to, sidecar] = [join(source, "a"), join(destination, "a"), join(destination, "a.lm-layer")];
    writeFileSync(from, "content");
    await copyLayer(host, copyOptions(from, to));
    const text = readFileSync(sidecar, "utf8");
    const { ino } = statSync(to);
    writeFileSync(sidecar, text.replace(/^finished .*$/m, `partial 0123456789abcdef ${ino} 0`));
    linkSync(to, join(destination, "a.lm-partial-0123456789abcdef"));
    assert.equal(await copyLayer(host, copyOptions(from, to)), "copied");
    assert.equal(statSync(to).ino, ino);
    assert.equal(readFileSync(sidecar, "utf8"), text);
    assert.deepEqual(namesIn(destination), ["a", "a.lm-layer"]);
  });

  it("says which program the host lacks", async function () {
    const { source, destination, root } = await scratch(this);
    const [from, to, bin] = [join(source, "a"), join(destination, "a"), join(root, "bin")];
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", from, "1M"]);
    execFileSync("sh", ["-c", 'mkdir "$1" && ln -s /usr/bin/* "$1" && rm "$1/qemu-img"', "sh", bin]);
    const without = { ...host, worker: () => localWorker({ path: bin }) };
    const copy = copyLayer(without, copyOptions(from, to, { rewriteBacking: { name: "base", format: "raw" } }));
    await assert.rejects(copy, /qemu-img is missing: install the package qemu-utils/);
    assert.equal(await copyLayer(host, copyOptions(from, to, { rewriteBacking: { name: "base", format: "raw" } })), "copied");
  });
});

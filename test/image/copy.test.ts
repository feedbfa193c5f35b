import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { copyLayer } from "../../provider/image/copy.js";
import { allocatedBytes, assertSameBytes, copyOptions, MIB, namesIn, scratch, sparseFile, undoAll } from "./files.js";
import { host, overSsh } from "./ssh-host.js";

describe("copying a layer", () => {
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
  for (const name of oddNames) {
    it(`copies a file named ${JSON.stringify(name)}`, async function () {
      const { source, destination, root } = await scratch(this);
      writeFileSync(join(source, name), "content");
      assert.equal(await copyLayer(host, copyOptions(join(source, name), join(destination, name))), "copied");
      assertSameBytes(join(source, name), join(destination, name));
      assert.deepEqual(namesIn(destination), [name, `${name}.lm-layer`].sort());
      assert.deepEqual(namesIn(root), ["from", "to"]);
    });
  }
});

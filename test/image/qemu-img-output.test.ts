import assert from "node:assert/strict";
import fc from "fast-check";
import { isOurs } from "../../provider/core/errors.js";
import type { Host } from "../../provider/host/host.js";
import { imageInfo } from "../../provider/image/qemu-img.js";
import { thisWorld } from "../world.js";

/** A host whose qemu-img says this. */
function saying(stdout: string, exitStatus = 0, stderr = ""): Host {
  const silent = () => Promise.reject(new Error("not in this test"));
  const run = async () => ({ exitStatus, stdout, stderr });
  return { name: "db-3", world: thisWorld, stateDirectory: "/nowhere", run, open: silent, worker: silent, withOneWorker: silent };
}

const reply = {
  ...{ filename: "/path1/old.qcow2", format: "qcow2", "virtual-size": 1073741824, "actual-size": 200704, "cluster-size": 65536 },
  ...{ "backing-filename": "common.qcow2", "full-backing-filename": "/path1/common.qcow2", "backing-filename-format": "qcow2" },
  snapshots: [{ name: "before", id: "1", "vm-state-size": 0 }],
  "format-specific": {
    type: "qcow2",
    data: {
      compat: "1.1",
      "lazy-refcounts": false,
      "refcount-bits": 16,
      "extended-l2": false,
      "compression-type": "zlib",
      bitmaps: [{ name: "b", flags: ["auto"] }],
    },
  },
  "dirty-flag": false,
};

async function readsOrSays(text: string): Promise<void> {
  try {
    const header = await imageInfo(saying(text), "/path1/old.qcow2", "qcow2");
    assert.equal(typeof header.format, "string");
    assert(Number.isInteger(header.virtualBytes) && Number.isInteger(header.allocatedBytes));
    for (const value of Object.values(header.options)) assert.equal(typeof value, "string");
  } catch (thrown) {
    assert(isOurs(thrown) && /Unable to read what qemu-img says of \/path1\/old\.qcow2 on db-3/.test(String(thrown)), String(thrown));
  }
}

/** With one value replaced, wherever it stands. */
function edited(value: unknown, at: number, by: unknown): unknown {
  let count = 0;
  return JSON.parse(JSON.stringify(value), (_key, inner) => (count++ === at ? by : inner));
}

describe("what qemu-img says of an image", function () {
  this.timeout(60_000);

  it("is read, or is a fault in words, whichever of its values is another", async () => {
    const any = fc.oneof(fc.jsonValue(), fc.constantFrom<unknown>(null, "", -1, 1.5, 1e300, [], {}, "9".repeat(400)));
    await fc.assert(
      fc.asyncProperty(fc.nat(40), any, (at, by) => readsOrSays(JSON.stringify(edited(reply, at, by)))),
      { numRuns: 1000 },
    );
  });

  it("is a fault in words wherever it is cut, and for anything at all", async () => {
    const text = JSON.stringify(reply, null, 4);
    await fc.assert(fc.asyncProperty(fc.nat(text.length), (end) => readsOrSays(text.slice(0, end))));
    await fc.assert(fc.asyncProperty(fc.oneof(fc.string({ unit: "binary" }), fc.json()), readsOrSays), { numRuns: 300 });
  });

  it("is its last sentence if it is an error, whatever the file's name puts into it", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: fc.constantFrom("qemu-img: ", "\n", "'", "a", ".", "\t") }), async (name) => {
        const failed = imageInfo(saying("", 1, `qemu-img: Could not open '${name}': No such file or directory\n`), "/x", "qcow2");
        await assert.rejects(
          failed,
          (thrown: Error) => isOurs(thrown) && !thrown.message.includes("\n") && thrown.message.includes("No such file"),
        );
      }),
    );
  });
});

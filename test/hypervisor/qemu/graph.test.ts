import assert from "node:assert/strict";
import { readFileName } from "../../../provider/hypervisor/qemu/file-names.js";
import { namesOf, needsGraph, viewDisks } from "../../../provider/hypervisor/qemu/graph.js";
import { drives, nodes } from "../../../provider/hypervisor/qemu/replies.js";

/** A node as QEMU 7.2 reports it, cut to what is read. */
function node(name: string, drv: string, file: string, more: object = {}) {
  const image = { filename: file, format: drv, "virtual-size": 1048576, "actual-size": 4096, "dirty-flag": false };
  const cache = { writeback: true, direct: false, "no-flush": false };
  return { "node-name": name, drv, file, ro: false, encrypted: false, detect_zeroes: "off", iops: 0, cache, image, ...more };
}

function mediumOf(inserted: object, others: object[] = []) {
  const reply = { device: "", qdev: "vda", locked: false, removable: false, type: "unknown", inserted };
  const replies = { drives: drives.parse([reply]), nodes: nodes.parse([inserted, ...others]) };
  return { needsGraph: needsGraph(replies), medium: viewDisks(replies)[0]?.medium };
}

describe("an image", () => {
  for (const [protocol, file] of [
    ["nbd", "nbd://localhost:10809/x"],
    ["host_device", "/dev/vg0/web"],
    ["https", "https://example.org/x.raw"],
    ["rbd", "rbd:pool/x"],
  ] as const) {
    it(`on ${protocol} is unsupported, in words`, () => {
      const { medium } = mediumOf(node("#block1", "raw", file), [node("#block0", protocol, file)]);
      assert.deepEqual(medium, { kind: "unsupported", why: `${file} lies on ${protocol}, which is no plain file` });
    });
  }

  it("with a name like a protocol's is a file if it lies on one", () => {
    const { medium } = mediumOf(node("#block1", "raw", "web:1.raw"), [node("#block0", "file", "web:1.raw")]);
    assert.ok(medium?.kind === "image" && medium.chain[0].path === "web:1.raw");
  });

  it("below a filter that nothing tells from another is unsupported, where QEMU refuses its graph", () => {
    const below = node("#block1", "raw", "x");
    const filter = node("thr", "throttle", "json:{}", { image: { ...below.image, format: "throttle", "backing-image": below.image } });
    const { needsGraph, medium } = mediumOf(filter, [below, node("#block2", "raw", "x"), node("#block0", "file", "x")]);
    assert.equal(needsGraph, true);
    assert.deepEqual(medium, { kind: "unsupported", why: "QEMU does not tell which image lies below its node thr" });
  });

  it("has its named bitmaps, persistent or not, once each, and no job's own", () => {
    const data = { compat: "1.1", bitmaps: [{ name: "b0", flags: ["auto"], granularity: 65536 }] };
    const image = { ...node("", "qcow2", "x").image, "format-specific": { type: "qcow2", data } };
    const bitmaps = [{ name: "b0" }, { name: "b1" }, { granularity: 65536 }];
    const { medium } = mediumOf(node("n", "qcow2", "x", { image, "dirty-bitmaps": bitmaps }), [node("f", "file", "x")]);
    assert.ok(medium?.kind === "image");
    assert.deepEqual(medium.dirtyBitmaps, ["b0", "b1"]);
  });
});

describe("a file name by options", () => {
  for (const [what, name, expected] of [
    ["nested", 'json:{"driver":"qcow2","file":{"driver":"file","filename":"/a b/x"}}', { path: "/a b/x" }],
    ["flat", 'json:{"driver":"qcow2","file.driver":"file","file.filename":"/x"}', { path: "/x" }],
    [
      "flat and deep",
      'json:{"driver":"qcow2","file.driver":"blkdebug","file.image.driver":"file","file.image.filename":"/x"}',
      { path: "/x" },
    ],
    ["of a protocol node", 'json:{"driver":"file","filename":"/x","locking":"off"}', { path: "/x" }],
    ["on nbd", 'json:{"driver":"qcow2","file":{"driver":"nbd","server":{"type":"unix","path":"/s"}}}', { why: "it lies on nbd" }],
    ["that is no JSON", "json:{", { why: "QEMU names it json:{" }],
  ] as const) {
    it(`that is ${what} is read`, () => assert.deepEqual(readFileName(name), expected));
  }
});

describe("the names of a device", () => {
  for (const [qdev, drive, expected] of [
    ["/machine/peripheral/vda/virtio-backend", "", ["/machine/peripheral/vda/virtio-backend", "/machine/peripheral/vda", "vda"]],
    ["sda", "drive0", ["sda", "/machine/peripheral/sda", "drive0"]],
    ["/machine/system.flash0", "pflash0", ["/machine/system.flash0", "pflash0"]],
  ] as const) {
    it(`${qdev} are all that last`, () => assert.deepEqual(namesOf(qdev, drive), expected));
  }
});

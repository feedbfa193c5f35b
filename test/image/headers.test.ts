/** What images say of themselves, read on a real host. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { readHeaders } from "../../provider/image/headers.js";
import { expectSuccess, lastWords } from "../../provider/image/last-words.js";
import { overlayContent } from "../../provider/image/overlay.js";
import { backingNameInHeader, createImage, imageInfo } from "../../provider/image/qemu-img.js";
import { LocalHost } from "../hypervisor/qemu/local-host.js";
import { makeFolder } from "../sandbox/folders.js";

const host = new LocalHost();
const mib = 1024 * 1024;

/** `top.qcow2` on `middle.qcow2` on `base.raw`. */
async function chain() {
  const { path: folder, remove } = await makeFolder("livedisk-headers-");
  const at = (name: string) => path.join(folder, name);
  writeFileSync(at("base.raw"), Buffer.alloc(mib));
  await createImage(host, {
    path: at("middle.qcow2"),
    format: "qcow2",
    options: {},
    virtualBytes: mib,
    backing: { name: "base.raw", format: "raw" },
  });
  await createImage(host, {
    path: at("top.qcow2"),
    format: "qcow2",
    options: {},
    virtualBytes: mib,
    backing: { name: "middle.qcow2", format: "qcow2" },
  });
  return { at, [Symbol.asyncDispose]: remove };
}

describe("the headers of many images", () => {
  it("are in their order, each alone, and one that cannot be read says why", async () => {
    await using images = await chain();
    const [top, missing, base] = await readHeaders(
      host,
      [
        { path: images.at("top.qcow2"), format: "qcow2" },
        { path: images.at("nothing.qcow2"), format: "qcow2" },
        { path: images.at("base.raw"), format: "raw" },
      ],
      "single layers",
    );
    assert.deepEqual(Array.isArray(top) && top.map(({ backingName, virtualBytes }) => [backingName, virtualBytes]), [
      ["middle.qcow2", mib],
    ]);
    assert.match(missing && "why" in missing ? missing.why : "", /^Could not open .*nothing\.qcow2.*No such file/);
    assert.deepEqual(Array.isArray(base) && base.map(({ format }) => format), ["raw"]);
  });

  it("are those of whole chains where these are asked for", async () => {
    await using images = await chain();
    const [top] = await readHeaders(host, [{ path: images.at("top.qcow2"), format: "qcow2" }], "whole chains");
    assert.deepEqual(Array.isArray(top) && top.map((one) => path.basename(one.path)), ["top.qcow2", "middle.qcow2", "base.raw"]);
  });

  it("are not asked for where there is no image", async () => {
    const unasked = new LocalHost();
    assert.deepEqual(await readHeaders(unasked, [], "single layers"), []);
    assert.equal(unasked.opened.commands, 0);
  });

  it("never follow what a guest has written into a raw image", async () => {
    await using images = await chain();
    execFileSync("cp", [images.at("top.qcow2"), images.at("guest.raw")]);
    const [raw] = await readHeaders(host, [{ path: images.at("guest.raw"), format: "raw" }], "single layers");
    assert.deepEqual(Array.isArray(raw) && raw.map(({ format, backingName }) => [format, backingName]), [["raw", undefined]]);
    assert.equal((await imageInfo(host, images.at("guest.raw"), "raw")).backingName, undefined);
  });
});

describe("an overlay", () => {
  it("is empty until something is written to it, be it zeros", async () => {
    await using images = await chain();
    const top = images.at("top.qcow2");
    assert.equal(await overlayContent(host, top), "empty");
    execFileSync("qemu-io", ["-c", "write -z 0 65536", top]);
    assert.equal(await overlayContent(host, top), "holds-writes");
  });

  it("is looked at without what is below it", async () => {
    await using images = await chain();
    execFileSync("qemu-io", ["-c", "write 0 65536", images.at("middle.qcow2")]);
    assert.equal(await overlayContent(host, images.at("top.qcow2")), "empty");
  });

  it("that is not there is an error", () =>
    assert.rejects(overlayContent(host, "/nowhere/a.qcow2"), /Unable to see what \/nowhere\/a\.qcow2 holds on here/));
});

describe("what an image is made with", () => {
  it("are the options of the one that it is to be like", async () => {
    await using images = await chain();
    const options = { compat: "1.1", cluster_size: "131072", refcount_bits: "8", lazy_refcounts: "on", extended_l2: "off" };
    await createImage(host, { path: images.at("a.qcow2"), format: "qcow2", options, virtualBytes: mib });
    const seen = (await imageInfo(host, images.at("a.qcow2"))).options;
    assert.deepEqual(Object.fromEntries(Object.entries(seen).filter(([name]) => name in options)), options);
    await createImage(host, { path: images.at("b.qcow2"), format: "qcow2", options: seen, virtualBytes: mib });
    assert.deepEqual((await imageInfo(host, images.at("b.qcow2"))).options, seen);
  });

  it("of an old qcow2 are only those that it knows", async () => {
    await using images = await chain();
    await createImage(host, { path: images.at("a.qcow2"), format: "qcow2", options: { compat: "0.10" }, virtualBytes: mib });
    assert.deepEqual(Object.keys((await imageInfo(host, images.at("a.qcow2"))).options), ["compat", "cluster_size"]);
  });

  it("are none for a raw image", async () => {
    await using images = await chain();
    assert.deepEqual((await imageInfo(host, images.at("base.raw"), "raw")).options, {});
  });

  it("has a backing name that QEMU takes for no protocol", () => {
    assert.deepEqual(["a:b", "/a:b", "./a:b", "ab"].map(backingNameInHeader), ["./a:b", "/a:b", "./a:b", "ab"]);
  });
});

describe("the last words of a failed program", () => {
  const failed =
    (exitStatus: number, stderr = "") =>
    () =>
      expectSuccess(host, { exitStatus, stderr }, "Unable to see");

  it("are its last message, in one line", () => {
    assert.equal(lastWords("qemu-img: warning: one\nqemu-img: Could not open 'a\nb': two.\n"), "qemu-img: Could not open 'a b': two");
    assert.equal(lastWords("x\ndd: failed"), "dd: failed");
    assert.equal(lastWords("x\ncp: failed"), "cp: failed");
    assert.equal(lastWords(" \n"), "no reason was given");
  });

  it("are an error, but for one that succeeded", () => {
    failed(0, "a warning")();
    assert.throws(failed(1, "qemu-img: why"), /^UserError: Unable to see on here: qemu-img: why\.$/);
    assert.throws(failed(127), /qemu-img is missing there\. Install the package qemu-utils/);
  });
});

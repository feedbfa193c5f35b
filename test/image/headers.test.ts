/** What images say of themselves, read on a real host. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { readChains, readHeaders } from "../../provider/image/headers.js";
import { expectSuccess, lastWords } from "../../provider/image/last-words.js";
import { overlayContent } from "../../provider/image/overlay.js";
import { backingNameInHeader, createImage, imageInfo } from "../../provider/image/qemu-img.js";
import { LocalHost } from "../hypervisor/qemu/local-host.js";
import { makeFolder } from "../sandbox/folders.js";
import { forgetBackingFormat } from "../sandbox/headers.js";

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
    const [top, missing, base] = await readHeaders(host, [
      { path: images.at("top.qcow2"), format: "qcow2" },
      { path: images.at("nothing.qcow2"), format: "qcow2" },
      { path: images.at("base.raw"), format: "raw" },
    ]);
    assert.deepEqual(top && "path" in top && [top.backingName, top.virtualBytes], ["middle.qcow2", mib]);
    assert.match(missing && "why" in missing ? missing.why : "", /^Could not open .*nothing\.qcow2.*No such file/);
    assert.equal(base && "path" in base && base.format, "raw");
  });

  it("of what is no regular file are not read: a FIFO is not waited for", async () => {
    await using images = await chain();
    execFileSync("mkfifo", [images.at("fifo")]);
    const [fifo] = await readHeaders(host, [{ path: images.at("fifo"), format: "raw" }]);
    assert.deepEqual(fifo, { why: "it is not a regular file" });
  });

  it("are not asked for where there is no image", async () => {
    const unasked = new LocalHost();
    assert.deepEqual(await readHeaders(unasked, []), []);
    assert.equal(unasked.opened.commands, 0);
  });

  it("never follow what a guest has written into a raw image", async () => {
    await using images = await chain();
    execFileSync("cp", [images.at("top.qcow2"), images.at("guest.raw")]);
    const [raw] = await readHeaders(host, [{ path: images.at("guest.raw"), format: "raw" }]);
    assert.deepEqual(raw && "path" in raw && [raw.format, raw.backingName], ["raw", undefined]);
    assert.equal((await imageInfo(host, images.at("guest.raw"), "raw")).backingName, undefined);
  });
});

describe("the headers of a whole chain", () => {
  const top = (path: string) => [{ path, format: "qcow2" }];

  it("are read from the top down", async () => {
    await using images = await chain();
    const [read] = await readChains(host, top(images.at("top.qcow2")));
    assert.deepEqual(read && !("why" in read) && read.map((one) => path.basename(one.path)), ["top.qcow2", "middle.qcow2", "base.raw"]);
  });

  it("are not guessed on where a header names no format", async () => {
    await using images = await chain();
    forgetBackingFormat(images.at("middle.qcow2"));
    const [read] = await readChains(host, top(images.at("top.qcow2")));
    const why = `the header of ${images.at("middle.qcow2")} does not say which format its backing file ${images.at("base.raw")} has`;
    assert.deepEqual(read, { why });
  });

  for (const name of ["nbd://127.0.0.1:1/x", 'json:{"driver":"file","filename":"/etc/hostname"}']) {
    it(`are not followed to ${name.slice(0, 5)}`, async () => {
      await using images = await chain();
      execFileSync("qemu-img", ["create", "-q", "-u", "-f", "qcow2", "-b", name, "-F", "raw", images.at("led.qcow2"), "1M"]);
      const [read] = await readChains(host, top(images.at("led.qcow2")));
      const why = `the header of ${images.at("led.qcow2")} names ${name} as its backing file, which is not the path of a file`;
      assert.deepEqual(read, { why });
    });
  }

  it("are not followed to a FIFO", async () => {
    await using images = await chain();
    execFileSync("mkfifo", [images.at("fifo")]);
    execFileSync("qemu-img", ["create", "-q", "-u", "-f", "qcow2", "-b", images.at("fifo"), "-F", "raw", images.at("led.qcow2"), "1M"]);
    const [read] = await readChains(host, top(images.at("led.qcow2")));
    assert.deepEqual(read, { why: `${images.at("fifo")}: it is not a regular file` });
  });

  it("are not followed in a circle", async () => {
    await using images = await chain();
    const [one, other] = [images.at("one.qcow2"), images.at("other.qcow2")];
    for (const [file, below] of [
      [one, other],
      [other, one],
    ] as const)
      execFileSync("qemu-img", ["create", "-q", "-u", "-f", "qcow2", "-b", below, "-F", "qcow2", file, "1M"]);
    assert.deepEqual(await readChains(host, top(one)), [{ why: `its chain leads back to ${one}` }]);
  });

  it("are each one's own where several chains are read together", async () => {
    await using images = await chain();
    const chains = await readChains(host, [
      ...top(images.at("middle.qcow2")),
      ...top(images.at("none.qcow2")),
      ...top(images.at("top.qcow2")),
    ]);
    assert.deepEqual(
      chains.map((read) => ("why" in read ? "unread" : read.length)),
      [2, "unread", 3],
    );
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
    const seen = (await imageInfo(host, images.at("a.qcow2"), "qcow2")).options;
    assert.deepEqual(Object.fromEntries(Object.entries(seen).filter(([name]) => name in options)), options);
    await createImage(host, { path: images.at("b.qcow2"), format: "qcow2", options: seen, virtualBytes: mib });
    assert.deepEqual((await imageInfo(host, images.at("b.qcow2"), "qcow2")).options, seen);
  });

  it("of an old qcow2 are only those that it knows", async () => {
    await using images = await chain();
    await createImage(host, { path: images.at("a.qcow2"), format: "qcow2", options: { compat: "0.10" }, virtualBytes: mib });
    assert.deepEqual(Object.keys((await imageInfo(host, images.at("a.qcow2"), "qcow2")).options), ["compat", "cluster_size"]);
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
    assert.equal(lastWords(" \n"), "no reason was given");
  });

  it("are an error, but for one that succeeded", () => {
    failed(0, "a warning")();
    assert.throws(failed(1, "qemu-img: why"), /^UserError: Unable to see on here: qemu-img: why\.$/);
    assert.throws(failed(127), /qemu-img is missing there\. Install the package qemu-utils/);
  });
});

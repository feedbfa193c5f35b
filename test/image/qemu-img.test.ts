import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isKind } from "../../provider/core/errors.js";
import type { Host } from "../../provider/host/host.js";
import { compareImages } from "../../provider/image/compare.js";
import { createImage, imageInfo, isImageInUse } from "../../provider/image/qemu-img.js";
import { copyLayer } from "../../provider/storage/directory/copy.js";
import { findProgram } from "../sandbox/install.js";
import { copyOptions, MIB, namesIn, scratch, undoAll, undoLater } from "./files.js";
import { host, overSsh } from "./ssh-host.js";

const ODD = [
  "with space",
  "a,b=c,,d",
  "-dash",
  "new\nline",
  "$(touch planted)",
  'it\'s "q"',
  "bäse-日本",
  "back\\slash",
  "%s",
  "help",
  "?",
];

const refusedFor = (words: RegExp) => (thrown: Error) => {
  assert(isKind(thrown, "user"), thrown.stack);
  assert.match(thrown.message, words);
  assert(!thrown.message.includes("\n"));
  return true;
};

function write(path: string, pattern: string, format = "qcow2"): void {
  execFileSync("qemu-io", ["-f", format, "-c", pattern, path], { stdio: "ignore" });
}

function backingOf(path: string): unknown {
  return JSON.parse(execFileSync("qemu-img", ["info", "--output=json", path], { encoding: "utf8" }))["backing-filename"];
}

describe("a new image", () => {
  overSsh();
  afterEach(undoAll);

  it("has the options, the size and the looks of the one that it shall be like", async function () {
    const { source, destination } = await scratch(this);
    const [like, path] = [join(source, "like"), join(destination, "new")];
    const options = "compat=1.1,cluster_size=131072,refcount_bits=32,lazy_refcounts=on,extended_l2=on,compression_type=zstd";
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", "-o", options, like, "77M"]);
    chmodSync(like, 0o640);
    execFileSync("chown", ["1234:2345", like]);
    // the package attr is not everywhere; without it that part is left out
    const attribute = findProgram("setfattr") === undefined ? undefined : "here";
    if (attribute !== undefined) execFileSync("setfattr", ["-n", "user.place", "-v", attribute, like]);
    const old = await imageInfo(host, like, "qcow2");
    await createImage(host, { path, format: old.format, options: old.options, virtualBytes: old.virtualBytes, like });
    const made = await imageInfo(host, path, "qcow2");
    assert.deepEqual({ ...made, path: "", allocatedBytes: 0 }, { ...old, path: "", allocatedBytes: 0 });
    assert.deepEqual(made.options, Object.fromEntries(options.split(",").map((pair) => pair.split("="))));
    const { mode, uid, gid } = statSync(path);
    assert.deepEqual([mode & 0o7777, uid, gid], [0o640, 1234, 2345]);
    if (attribute === undefined) return;
    const read = execFileSync("getfattr", ["--absolute-names", "--only-values", "-n", "user.place", path], { encoding: "utf8" });
    assert.equal(read, attribute);
  });

  it("is like an old image, whose version knows few options", async function () {
    const { source, destination } = await scratch(this);
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", "-o", "compat=0.10", join(source, "old"), "1M"]);
    const { options } = await imageInfo(host, join(source, "old"), "qcow2");
    await createImage(host, { path: join(destination, "new"), format: "qcow2", options, virtualBytes: MIB });
    assert.deepEqual((await imageInfo(host, join(destination, "new"), "qcow2")).options, { compat: "0.10", cluster_size: "65536" });
  });

  it("has the name, and names a backing file that is not there yet, as given", async function () {
    const { destination, root } = await scratch(this);
    for (const name of ODD) {
      const path = join(destination, `new ${name}`);
      await createImage(host, { path, format: "qcow2", options: {}, virtualBytes: MIB, backing: { name, format: "raw" } });
      const { backingName, backingFormat, backingPath } = await imageInfo(host, path, "qcow2");
      assert.deepEqual([backingName, backingFormat, backingPath], [name, "raw", join(destination, name)]);
      assert.equal(backingOf(path), name);
    }
    assert.deepEqual(namesIn(destination), ODD.map((name) => `new ${name}`).sort());
    assert.deepEqual(namesIn(root), ["from", "to"]);
  });

  it("names a backing file with a colon so that QEMU does not take it for a protocol", async function () {
    const { destination } = await scratch(this);
    const [path, base] = [join(destination, "x:y"), join(destination, "a:b.qcow2")];
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", base, "1M"]);
    await createImage(host, { path, format: "qcow2", options: {}, virtualBytes: MIB, backing: { name: "a:b.qcow2", format: "qcow2" } });
    assert.equal((await imageInfo(host, path, "qcow2")).backingPath, `${destination}/./a:b.qcow2`);
    execFileSync("qemu-img", ["check", "-q", path]);
  });

  it("never replaces or follows what has its name, and leaves nothing when it fails", async function () {
    const { destination, root } = await scratch(this);
    const victim = join(root, "victim");
    writeFileSync(victim, "precious");
    symlinkSync(victim, join(destination, "link"));
    const image = { format: "qcow2", options: {}, virtualBytes: MIB };
    await assert.rejects(
      createImage(host, { ...image, path: join(destination, "link") }),
      refusedFor(/File exists\. Move what has that name away, then run `pulumi up` again\.$/),
    );
    await assert.rejects(
      createImage(host, { ...image, path: victim }),
      refusedFor(/File exists\. Move what has that name away, then run `pulumi up` again\.$/),
    );
    assert.equal(readFileSync(victim, "utf8"), "precious");
    const wrong = { ...image, path: join(destination, "new"), options: { cluster_size: "3" } };
    await assert.rejects(
      createImage(host, wrong),
      refusedFor(/Unable to create the image .*: qemu-img: .*Cluster size must be a power of two/),
    );
    assert.deepEqual(namesIn(destination), ["link"]);
  });
});

describe("an image's header", () => {
  overSsh();
  afterEach(undoAll);

  it("shows bitmaps, snapshots and a backing file that is missing, also while a guest has the image", async function () {
    const { source } = await scratch(this);
    const path = join(source, "a");
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", path, "1M"]);
    execFileSync("qemu-img", ["bitmap", "--add", path, "backup0"]);
    execFileSync("qemu-img", ["snapshot", "-c", "before", path]);
    execFileSync("qemu-img", ["rebase", "-u", "-F", "raw", "-b", "gone", path]);
    assert.equal(await isImageInUse(host, path), false);
    const image = { driver: "qcow2", "node-name": "a", backing: null, file: { driver: "file", filename: path } };
    const args = ["-S", "-M", "none", "-display", "none", "-monitor", "stdio", "-blockdev", JSON.stringify(image)];
    const guest = spawn("qemu-system-x86_64", args, { stdio: ["pipe", "pipe", "inherit"] });
    undoLater(this, () => void guest.kill());
    await once(guest.stdout, "data");
    const header = await imageInfo(host, path, "qcow2");
    assert.deepEqual([header.dirtyBitmaps, header.internalSnapshots, header.backingName], [["backup0"], ["before"], "gone"]);
    assert.equal(await isImageInUse(host, path), true);
  });

  it("is refused in words when there is none, and when qemu-img is missing", async function () {
    const { source } = await scratch(this);
    await assert.rejects(
      imageInfo(host, join(source, "none"), "qcow2"),
      refusedFor(/Unable to read the image header of .* on 127\.0\.0\.1:\d+: qemu-img: Could not open .*No such file or directory\.$/),
    );
    const bare: Host = { ...host, run: (script, args, options) => host.run(`PATH=/nowhere; ${script}`, args, options) };
    await assert.rejects(imageInfo(bare, source, "qcow2"), refusedFor(/qemu-img is missing there\. Install the package qemu-utils/));
  });
});

describe("comparing images", () => {
  overSsh();
  afterEach(undoAll);
  const images = async (context: Mocha.Context) => {
    const { source, destination } = await scratch(context);
    const [a, b] = [
      { path: join(source, "a,a:x"), format: "qcow2" },
      { path: join(destination, "-b"), format: "raw" },
    ];
    for (const { path, format } of [a, b]) execFileSync("qemu-img", ["create", "-q", "-f", format, path, "8M"]);
    write(a.path, "write -P 7 1M 1M");
    write(b.path, "write -P 7 1M 1M", "raw");
    return { a, b };
  };

  it("looks at what a guest reads, whatever the format", async function () {
    const { a, b } = await images(this);
    assert.equal(await compareImages(host, [a], [b]), "same");
    assert.equal(await compareImages(host, [a], [b], "past-the-cache"), "same");
  });

  it("says where they differ, also in size", async function () {
    const { a, b } = await images(this);
    write(b.path, "write -P 8 5M 512", "raw");
    const verdict = await compareImages(host, [a], [b], "past-the-cache");
    assert(verdict !== "same");
    assert.match(verdict.differs, /mismatch at offset 5242880/);
    write(b.path, "write -P 0 5M 512", "raw");
    assert.equal(await compareImages(host, [a], [b]), "same");
    execFileSync("qemu-img", ["resize", "-q", "-f", "raw", b.path, "9M"]);
    const longer = await compareImages(host, [a], [b]);
    assert(longer !== "same", "an image of another size");
  });

  it("fails in words when one cannot be read, and when it is stopped", async function () {
    const { a, b } = await images(this);
    await assert.rejects(
      compareImages(host, [a], [{ path: `${b.path}x`, format: "raw" }]),
      refusedFor(/Unable to read the image header of .*No such file or directory\.$/),
    );
    await assert.rejects(compareImages(host, [a], [b], "cached", { stop: AbortSignal.abort() }), refusedFor(/stopped/));
  });
});

describe("a copied layer whose backing name is rewritten", () => {
  overSsh();
  afterEach(undoAll);

  it("has the new name and the same content", async function () {
    const { source, destination } = await scratch(this);
    const [base, from, to] = [join(source, "base,1"), join(source, "mid"), join(destination, "mid")];
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", base, "8M"]);
    write(base, "write -P 3 0 2M");
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "base,1", "-F", "qcow2", from]);
    write(from, "write -P 4 1M 2M");
    await copyLayer(host, copyOptions(from, to, { rewriteBacking: { name: base, format: "qcow2" } }));
    assert.equal(backingOf(to), base);
    assert.equal(backingOf(from), "base,1");
    const below = { path: base, format: "qcow2" };
    assert.equal(await compareImages(host, [{ path: from, format: "qcow2" }, below], [{ path: to, format: "qcow2" }, below]), "same");
  });
});

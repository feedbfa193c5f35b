/** What a change of a host's files leaves when the host loses power right after it: its commands are looked at, in their order. */

import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createExclusively, removeFiles, renameWithoutReplacing, writeFileAtomically } from "../../provider/host/file-changes.js";
import type { Host } from "../../provider/host/host.js";
import { makeSymlink, readLink, replaceLink } from "../../provider/host/links.js";
import { quote } from "../../provider/host/quoting.js";
import { createImage, imageInfo } from "../../provider/image/qemu-img.js";
import { LocalHost } from "../hypervisor/qemu/local-host.js";
import { makeFolder } from "../sandbox/folders.js";
import { findProgram } from "../sandbox/install.js";

/** A folder, and a host on which some programs write down how they are called before they run. */
async function watched(...programs: readonly string[]) {
  const { path: folder, remove } = await makeFolder("livedisk-lasting-");
  const [log, bin] = [path.join(folder, "log"), path.join(folder, "bin")];
  mkdirSync(bin);
  writeFileSync(log, "");
  for (const program of ["sync", ...programs]) {
    const real = findProgram(program) ?? assert.fail(`${program} is missing`);
    writeFileSync(path.join(bin, program), `#!/bin/sh\nprintf '%s\\n' "${program} $*" >>${quote(log)}\nexec ${real} "$@"\n`);
    chmodSync(path.join(bin, program), 0o755);
  }
  const local = new LocalHost();
  const host: Host = {
    name: "here",
    stateDirectory: local.stateDirectory,
    run: (script, args, options) => local.run(`PATH=${quote(bin)}:$PATH\n${script}`, args, options),
    open: (script, args) => local.open(script, args),
    worker: () => local.worker(),
    withOneWorker: (work) => local.withOneWorker(work),
  };
  const place = path.join(folder, "place");
  mkdirSync(place);
  const calls = () =>
    readFileSync(log, "utf8")
      .replaceAll(/\.[0-9a-f]{8}\.new/g, ".temporary")
      .split("\n")
      .slice(0, -1);
  return { host, place, calls, [Symbol.asyncDispose]: remove };
}

describe("a change of a host's files", () => {
  it("that writes a file syncs it before it gets the name, and its directory after", async () => {
    await using one = await watched("mv");
    const file = path.join(one.place, "a");
    writeFileSync(file, "old");
    await writeFileAtomically(one.host, file, "new");
    assert.equal(readFileSync(file, "utf8"), "new");
    assert.deepEqual(one.calls(), [`sync -- ${file}.temporary`, `mv -f -T -- ${file}.temporary ${file}`, `sync -- ${one.place}/`]);
    assert.deepEqual(readdirSync(one.place), ["a"]);
  });

  it("that makes a file syncs it before it gets the name, and its directory after", async () => {
    await using one = await watched("ln");
    const file = path.join(one.place, "a");
    assert.equal(await createExclusively(one.host, file, "new"), "created");
    assert.deepEqual(one.calls(), [`sync -- ${file}.temporary`, `ln -T -- ${file}.temporary ${file}`, `sync -- ${one.place}/`]);
    assert.deepEqual(readdirSync(one.place), ["a"]);
  });

  it("that makes a file leaves one that is there, be it a link to nothing", async () => {
    await using one = await watched();
    const [file, link] = [path.join(one.place, "a"), path.join(one.place, "b")];
    writeFileSync(file, "old");
    symlinkSync("nowhere", link);
    assert.deepEqual(
      [await createExclusively(one.host, file, "new"), await createExclusively(one.host, link, "new")],
      ["exists", "exists"],
    );
    assert.equal(readFileSync(file, "utf8"), "old");
    assert.deepEqual(readdirSync(one.place), ["a", "b"]);
  });

  it("that makes a file where hard links are refused syncs the file itself", async () => {
    await using one = await watched();
    const file = path.join(one.place, "a");
    writeFileSync(path.join(one.place, "../bin/ln"), "#!/bin/sh\nexit 1\n");
    chmodSync(path.join(one.place, "../bin/ln"), 0o755);
    assert.equal(await createExclusively(one.host, file, "new"), "created");
    assert.equal(readFileSync(file, "utf8"), "new");
    assert.deepEqual(one.calls(), [`sync -- ${file}.temporary`, `sync -- ${file}`, `sync -- ${one.place}/`]);
  });

  it("that removes files syncs the directory after each", async () => {
    await using one = await watched("rm");
    const [a, b, c] = ["a", "b", "c"].map((name) => path.join(one.place, name)) as [string, string, string];
    writeFileSync(a, "");
    symlinkSync("nowhere", c);
    await removeFiles(one.host, [a, b, c]);
    assert.deepEqual(one.calls(), [`rm -f -- ${a}`, `sync -- ${one.place}/`, `rm -f -- ${c}`, `sync -- ${one.place}/`]);
    assert.deepEqual(readdirSync(one.place), []);
  });

  it("that removes files names the first that stays, and goes no further", async () => {
    await using one = await watched();
    const [a, folder, b] = ["a", "folder", "b"].map((name) => path.join(one.place, name)) as [string, string, string];
    mkdirSync(folder);
    for (const file of [a, b]) writeFileSync(file, "");
    await assert.rejects(removeFiles(one.host, [a, folder, b]), new RegExp(`Unable to remove ${folder} on here`));
    assert.deepEqual(readdirSync(one.place), ["b", "folder"]);
  });

  it("that renames a file syncs both directories after", async () => {
    await using one = await watched("mv");
    const [from, into] = [path.join(one.place, "a"), path.join(one.place, "folder")];
    mkdirSync(into);
    writeFileSync(from, "text");
    await renameWithoutReplacing(one.host, from, path.join(into, "b"));
    assert.deepEqual(one.calls(), [`mv -n -T -- ${from} ${into}/b`, `sync -- ${into}/`, `sync -- ${one.place}/`]);
    assert.equal(readFileSync(path.join(into, "b"), "utf8"), "text");
  });

  it("that renames a file leaves what has the new name, be it a link to nothing", async () => {
    await using one = await watched();
    const [from, link] = [path.join(one.place, "a"), path.join(one.place, "b")];
    writeFileSync(from, "text");
    symlinkSync("nowhere", link);
    await assert.rejects(renameWithoutReplacing(one.host, from, link), /the new name is taken/);
    assert.deepEqual([readlinkSync(link), existsSync(from), one.calls()], ["nowhere", true, []]);
  });

  it("that re-points a link syncs its directory after", async () => {
    await using one = await watched("mv");
    const [link, next] = [path.join(one.place, "link"), path.join(one.place, "next")];
    await makeSymlink(one.host, "old", link);
    await makeSymlink(one.host, "new", next);
    await replaceLink(one.host, next, link);
    assert.deepEqual(one.calls(), [`mv -T -- ${next} ${link}`, `sync -- ${one.place}/`]);
    assert.equal(await readLink(one.host, link), "new");
    assert.equal(await readLink(one.host, next), undefined);
  });

  it("that makes a link leaves what is no link", async () => {
    await using one = await watched();
    const file = path.join(one.place, "a");
    writeFileSync(file, "text");
    await assert.rejects(makeSymlink(one.host, "b", file), /Unable to make the link .* on here: .* is no link/);
    assert.equal(readFileSync(file, "utf8"), "text");
  });

  it("that makes an image syncs it, and its directory after", async () => {
    await using one = await watched("dd");
    const image = path.join(one.place, "a.qcow2");
    await createImage(one.host, { path: image, format: "qcow2", options: { cluster_size: "65536" }, virtualBytes: 1024 * 1024 });
    const [made, ...synced] = one.calls();
    assert.equal(made, `dd if=/dev/null of=${image} conv=excl status=none`);
    assert.deepEqual(synced, ["dd if=/dev/null conv=notrunc,fsync status=none", `sync ${one.place}/`]);
    assert.equal((await imageInfo(one.host, image, "qcow2")).virtualBytes, 1024 * 1024);
  });

  it("that makes an image never writes to what is there, and leaves nothing where it fails", async () => {
    await using one = await watched();
    const [taken, bad] = [path.join(one.place, "a.qcow2"), path.join(one.place, "b.qcow2")];
    writeFileSync(taken, "text");
    const image = { format: "qcow2", options: {}, virtualBytes: 1024 * 1024 };
    await assert.rejects(createImage(one.host, { ...image, path: taken }), /Unable to create the image .*File exists/);
    await assert.rejects(createImage(one.host, { ...image, path: bad, options: { nonsense: "1" } }), /Unable to create the image/);
    assert.equal(readFileSync(taken, "utf8"), "text");
    assert.deepEqual(readdirSync(one.place), ["a.qcow2"]);
  });
});

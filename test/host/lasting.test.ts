/** What a change of a host's files leaves when the host loses power right after it: the worker's system calls are looked at, in their order. */

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createExclusively, makeAnew, removeFiles, renameWithoutReplacing, writeFileAtomically } from "../../provider/host/file-changes.js";
import type { Host } from "../../provider/host/host.js";
import { makeSymlink, readLink } from "../../provider/host/links.js";
import type { Worker } from "../../provider/host/worker/worker.js";
import { createImage, imageInfo } from "../../provider/image/qemu-img.js";
import { LocalHost } from "../hypervisor/qemu/local-host.js";
import { makeFolder } from "../sandbox/folders.js";
import { localWorker, undoAll } from "./worker/harness.js";

const traced = ["strace", "-f", "-qq", "-y", "-e", "trace=fsync,rename,renameat,renameat2,unlinkat"];

/** A line of strace's, without paths: `fsync a`, `rename a b`, `unlink a`. Nothing for a call that failed. */
function callIn(line: string, place: string): string[] {
  if (!line.endsWith(" = 0")) return [];
  const name = (text: string) => path.relative(place, text).replace(/\.livedisk-[0-9a-f]{16}/, "staged") || ".";
  const within = (directory: string, file: string) => name(path.join(directory, file));
  const [, synced] = /fsync\(\d+<(.*)>\)/.exec(line) ?? [];
  if (synced !== undefined) return [`fsync ${name(synced)}`];
  const [, from = "", old = "", to = "", renamed] = /renameat2?\(\d+<(.*?)>, "(.*?)", \d+<(.*?)>, "(.*?)"/.exec(line) ?? [];
  if (renamed !== undefined) return [`rename ${within(from, old)} ${within(to, renamed)}`];
  const [, directory = "", removed] = /unlinkat\(\d+<(.*?)>, "(.*?)"/.exec(line) ?? [];
  return removed === undefined ? [] : [`unlink ${within(directory, removed)}`];
}

describe("a change of a host's files", function () {
  this.timeout(60_000);
  let folder: { path: string; remove: () => Promise<void> };
  let place: string;
  let host: Host;
  let seen = 0;
  const at = (name: string) => path.join(place, name);
  const calls = () => {
    const lines = readFileSync(path.join(folder.path, "calls"), "utf8").split("\n");
    const made = lines.slice(seen, -1).flatMap((line) => callIn(line, place));
    seen = lines.length - 1;
    return made;
  };

  before(async () => {
    folder = await makeFolder("livedisk-lasting-");
    const worker: Worker = await localWorker({ through: [...traced, "-o", path.join(folder.path, "calls")] });
    host = Object.assign(new LocalHost(), { worker: async () => worker });
  });
  after(async () => {
    await undoAll();
    await folder.remove();
  });
  beforeEach(function () {
    place = path.join(folder.path, String(this.currentTest?.title.length));
    mkdirSync(place);
    calls();
  });

  it("that writes a file syncs it before it gets the name, and its directory after", async () => {
    writeFileSync(at("a"), "old");
    await writeFileAtomically(host, at("a"), "new");
    assert.equal(readFileSync(at("a"), "utf8"), "new");
    assert.deepEqual(calls(), ["fsync staged", "rename staged a", "fsync ."]);
    assert.deepEqual(readdirSync(place), ["a"]);
  });

  it("that makes a file syncs it before it gets the name, and its directory after that", async () => {
    assert.notEqual(await createExclusively(host, at("a"), { content: "new" }), "exists");
    assert.deepEqual(calls(), ["fsync staged", "rename staged a", "fsync ."]);
    assert.deepEqual(readdirSync(place), ["a"]);
  });

  it("that makes a file leaves one that is there, be it a link to nothing", async () => {
    writeFileSync(at("a"), "old");
    symlinkSync("nowhere", at("b"));
    for (const name of ["a", "b"]) assert.equal(await createExclusively(host, at(name), { content: "new" }), "exists");
    assert.equal(readFileSync(at("a"), "utf8"), "old");
    assert.deepEqual(readdirSync(place), ["a", "b"]);
  });

  it("that makes a file of ours anew removes what an earlier run has left there, be it a link", async () => {
    symlinkSync("/etc/passwd", at("a"));
    const { ino } = await makeAnew(host, at("a"), { content: "new" });
    assert.deepEqual(calls(), ["unlink a", "fsync .", "fsync staged", "rename staged a", "fsync ."]);
    assert.deepEqual([readFileSync(at("a"), "utf8"), /^\d+$/.test(ino)], ["new", true]);
  });

  it("that removes files syncs the directory after each", async () => {
    writeFileSync(at("a"), "");
    symlinkSync("nowhere", at("c"));
    await removeFiles(host, ["a", "b", "c"].map(at));
    assert.deepEqual(calls(), ["unlink a", "fsync .", "unlink c", "fsync ."]);
    assert.deepEqual(readdirSync(place), []);
  });

  it("that removes files names the first that stays, and goes no further", async () => {
    mkdirSync(at("folder"));
    for (const name of ["a", "b"]) writeFileSync(at(name), "");
    const removal = removeFiles(host, ["a", "folder", "b"].map(at));
    await assert.rejects(removal, new RegExp(`Unable to remove ${at("folder")} on here: Is a directory\\.`));
    assert.deepEqual(readdirSync(place), ["b", "folder"]);
  });

  it("that renames a file syncs both directories", async () => {
    mkdirSync(at("folder"));
    writeFileSync(at("a"), "text");
    await renameWithoutReplacing(host, { from: at("a"), to: at("folder/b") });
    assert.deepEqual(calls(), ["rename a folder/b", "fsync folder", "fsync ."]);
    assert.equal(readFileSync(at("folder/b"), "utf8"), "text");
  });

  it("that renames a file leaves what has the new name already", async () => {
    writeFileSync(at("a"), "text");
    symlinkSync("nowhere", at("b"));
    await assert.rejects(renameWithoutReplacing(host, { from: at("a"), to: at("b") }), /the new name is taken/);
    assert.deepEqual([readlinkSync(at("b")), existsSync(at("a")), calls()], ["nowhere", true, []]);
  });

  it("that re-points a link does it by one rename, and syncs its directory after", async () => {
    await makeSymlink(host, "old", at("link"));
    calls();
    await makeSymlink(host, "new", at("link"));
    assert.deepEqual(calls(), ["rename staged link", "fsync ."]);
    assert.equal(await readLink(host, at("link")), "new");
  });

  it("that makes a link leaves what is no link", async () => {
    writeFileSync(at("a"), "text");
    await assert.rejects(makeSymlink(host, "b", at("a")), /Unable to make the link .* on here: it is not a symbolic link\./);
    assert.equal(readFileSync(at("a"), "utf8"), "text");
  });

  it("that makes an image syncs it, and its directory behind it", async () => {
    await createImage(host, { path: at("a.qcow2"), format: "qcow2", options: { cluster_size: "65536" }, virtualBytes: 1024 * 1024 });
    assert.deepEqual(calls().slice(-2), ["fsync a.qcow2", "fsync ."]);
    assert.equal((await imageInfo(host, at("a.qcow2"), "qcow2")).virtualBytes, 1024 * 1024);
  });

  it("that makes an image never writes to what is there, and leaves nothing where it fails", async () => {
    writeFileSync(at("a.qcow2"), "text");
    const image = { format: "qcow2", options: {}, virtualBytes: 1024 * 1024 };
    await assert.rejects(createImage(host, { ...image, path: at("a.qcow2") }), /Unable to create the image .*File exists/);
    const bad = createImage(host, { ...image, path: at("b.qcow2"), options: { nonsense: "1" } });
    await assert.rejects(bad, new RegExp(`Unable to create the image ${at("b.qcow2")} on here: qemu-img: ${at("b.qcow2")}: .*nonsense`));
    assert.equal(readFileSync(at("a.qcow2"), "utf8"), "text");
    assert.deepEqual(readdirSync(place), ["a.qcow2"]);
  });
});

/** Files that are changed on this machine: what holds at every end, also where something is in the way. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { chmod, chown, mkdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { isKind } from "../../provider/core/errors.js";
import { seeFiles } from "../../provider/host/file-seen.js";
import {
  createExclusively,
  freeBytes,
  readSmallFile,
  realPath,
  removeFile,
  removeFiles,
  renameWithoutReplacing,
  writeFileAtomically,
} from "../../provider/host/files.js";
import { makeSymlink, readLink } from "../../provider/host/links.js";
import { inMemory, type MadeFolder, makeFolder } from "../sandbox/folders.js";
import { ShellHost } from "./shell-host.js";

const isUser = (words: RegExp) => (thrown: unknown) => isKind(thrown, "user") && words.test(thrown.message);

describe("a file on this machine", () => {
  let made: MadeFolder;
  const host = new ShellHost();
  const at = (name: string) => path.join(made.path, name);
  const text = (name: string) => readFileSync(at(name), "utf8");
  const names = () => readdirSync(made.path).sort();
  beforeEach(async () => {
    made = await makeFolder("livedisk files '$(touch x)-", inMemory);
  });
  afterEach(() => made.remove());

  it("is written whole in another's place, for all to read", async () => {
    await writeFile(at("a"), "old");
    const { ino } = statSync(at("a"));
    await writeFileAtomically(host, at("a"), "new\n");
    assert.deepEqual([text("a"), statSync(at("a")).mode & 0o777, statSync(at("a")).ino === ino], ["new\n", 0o644, false]);
    assert.deepEqual(names(), ["a"]);
  });

  it("that cannot be written leaves what was there, and nothing of its own", async () => {
    await mkdir(at("folder"));
    await assert.rejects(writeFileAtomically(host, at("folder"), "x"), isUser(/Unable to write .*folder/));
    await assert.rejects(writeFileAtomically(host, at("none/a"), "x"), isUser(/Unable to write/));
    assert.deepEqual(names(), ["folder"]);
  });

  it("replaces a link, and never writes through it", async () => {
    await writeFile(at("led-to"), "old");
    await symlink("led-to", at("a"));
    await writeFileAtomically(host, at("a"), "new");
    assert.deepEqual([text("led-to"), lstatSync(at("a")).isSymbolicLink()], ["old", false]);
  });

  it("is made once: what is there, a link to nothing too, stays", async () => {
    const made = await createExclusively(host, at("a"), { content: "one" });
    assert.equal(made === "exists" ? made : made.ino, String(statSync(at("a")).ino));
    assert.equal(await createExclusively(host, at("a"), { content: "two" }), "exists");
    await symlink("nowhere", at("b"));
    assert.equal(await createExclusively(host, at("b"), { content: "two" }), "exists");
    assert.deepEqual([text("a"), names()], ["one", ["a", "b"]]);
    await assert.rejects(createExclusively(host, at("none/a"), { content: "x" }), isUser(/Unable to create/));
  });

  it("is removed, as a link is and a folder is not; what is not there is no error", async () => {
    await writeFile(at("a"), "");
    await symlink("nowhere", at("b"));
    await mkdir(at("c"));
    await removeFiles(host, [at("a"), at("none"), at("b")]);
    assert.deepEqual(names(), ["c"]);
    await writeFile(at("z"), "");
    await assert.rejects(removeFiles(host, [at("none"), at("c"), at("z")]), isUser(/Unable to remove .*\/c on here/));
    assert.deepEqual(names(), ["c", "z"]);
    await removeFile(host, at("z"));
    assert.deepEqual(names(), ["c"]);
  });

  it("is renamed only where the new name is free, and within one file system", async () => {
    await writeFile(at("a"), "a");
    await renameWithoutReplacing(host, { from: at("a"), to: at("b") });
    assert.deepEqual(names(), ["b"]);
    await writeFile(at("c"), "c");
    await assert.rejects(renameWithoutReplacing(host, { from: at("b"), to: at("c") }), isUser(/the new name is taken/));
    await symlink("nowhere", at("d"));
    await assert.rejects(renameWithoutReplacing(host, { from: at("b"), to: at("d") }), isUser(/the new name is taken/));
    assert.deepEqual([text("b"), text("c"), readlinkSync(at("d"))], ["a", "c", "nowhere"]);
    await assert.rejects(renameWithoutReplacing(host, { from: at("none"), to: at("e") }), isUser(/Unable to rename/));
    await assert.rejects(renameWithoutReplacing(host, { from: at("b"), to: "/proc/sys/x" }), isUser(/Unable to rename .*two file systems/));
    assert(existsSync(at("b")));
  });

  it("is looked at by what it is, links followed or not; what is not there is undefined, in its place", async () => {
    await writeFile(at("a"), "abc");
    await symlink("a", at("b"));
    await symlink("nowhere", at("c"));
    const all = ["none", "a", "b", "c", ""].map(at);
    const kinds = async (links: "follow" | "keep-links") => (await seeFiles(host, all, links)).map((found) => found?.kind);
    assert.deepEqual(await kinds("follow"), [undefined, "file", "file", undefined, "directory"]);
    assert.deepEqual(await kinds("keep-links"), [undefined, "file", "link", "link", "directory"]);
    const [found] = await seeFiles(host, [at("b")], "follow");
    assert.deepEqual([found?.ino, found?.sizeBytes, found?.mode], [String(statSync(at("a")).ino), 3, statSync(at("a")).mode & 0o777]);
    assert.deepEqual(await seeFiles(host, [], "follow"), []);
  });

  it("is read where it is small, and refused where it is not", async () => {
    await writeFile(at("a"), "12345");
    assert.equal(await readSmallFile(host, at("a"), 5), "12345");
    await assert.rejects(readSmallFile(host, at("a"), 4), isUser(/it has 5 bytes, more than 4/));
    assert.equal(await readSmallFile(host, at("none")), undefined);
    await mkdir(at("folder"));
    await assert.rejects(
      readSmallFile(host, at("folder")),
      isUser(/Unable to trust .* it is not a regular file\. It was left as it is\. .*rmdir -- /),
    );
  });

  it("is not read through a link, from a FIFO, or where others may write it: the refusal has the line that settles it", async () => {
    await writeFile(at("a"), "a");
    await symlink("a", at("link"));
    execFileSync("mkfifo", [at("fifo")]);
    await assert.rejects(
      readSmallFile(host, at("link")),
      isUser(/Unable to trust .*link on here: it is a symbolic link\. .*`rm -- '.*link'`/),
    );
    await assert.rejects(readSmallFile(host, at("fifo")), isUser(/it is not a regular file\. It was left as it is\. .*`rm -- '.*fifo'`/));
    await chmod(at("a"), 0o666);
    await assert.rejects(readSmallFile(host, at("a")), isUser(/its mode is 666\. It was left as it is\. .*`chmod go-w -- '.*a'`/));
    if (process.getuid?.() !== 0) return;
    await chmod(at("a"), 0o644);
    await chown(at("a"), 65534, 65534);
    await assert.rejects(readSmallFile(host, at("a")), isUser(/it belongs to the account 65534.*`chown 0 -- '.*a'`/));
  });

  it("has a real path, and room beside it", async () => {
    await mkdir(at("folder"));
    await symlink("folder", at("link"));
    assert.equal(await realPath(host, at("link/.")), at("folder"));
    await assert.rejects(realPath(host, at("none")), isUser(/Unable to resolve/));
    assert((await freeBytes(host, made.path)) > 0);
    await assert.rejects(freeBytes(host, at("none")), isUser(/Unable to measure/));
  });

  it("is found by links that are read, made and replaced as links", async () => {
    await makeSymlink(host, "one", at("link"));
    await makeSymlink(host, "two", at("link"));
    assert.equal(await readLink(host, at("link")), "two");
    await mkdir(at("folder"));
    await makeSymlink(host, "folder", at("link"));
    assert.deepEqual([await readLink(host, at("link")), names()], ["folder", ["folder", "link"]]);
    await makeSymlink(host, "elsewhere", at("link"));
    assert.deepEqual(readdirSync(at("folder")), [], "it is not made in what the link leads to");
    await assert.rejects(makeSymlink(host, "x", at("folder")), isUser(/it is not a symbolic link/));
    assert.equal(await readLink(host, at("folder")), undefined);
    assert.equal(await readLink(host, at("none")), undefined);
  });
});

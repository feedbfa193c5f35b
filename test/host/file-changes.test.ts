import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { createExclusively, removeFile, renameWithoutReplacing, takeOver, writeFileAtomically } from "../../provider/host/files.js";
import { counted, oddNames } from "./counted-host.js";
import { asNobody, failure, host, overSsh, scratch } from "./hosts.js";

describe("changing files on a host", function () {
  overSsh(this);

  it("writes a file in one step, whatever its name", async () => {
    const { there, folder, trips } = await counted();
    for (const name of oddNames) await writeFileAtomically(there, join(folder, name), `content of ${name}`);
    assert.equal(trips(), oddNames.length);
    assert.deepEqual(readdirSync(folder).sort(), [...oddNames].sort());
    for (const name of oddNames) assert.equal(readFileSync(join(folder, name), "utf8"), `content of ${name}`);
  });

  it("replaces a file by a new one, leaves a reader its old one, and replaces a link instead of writing through it", async () => {
    const { there, folder } = await counted();
    const [path, other, link] = ["file", "other name", "link"].map((name) => join(folder, name)) as [string, string, string];
    writeFileSync(path, "old");
    linkSync(path, other);
    symlinkSync(other, link);
    await writeFileAtomically(there, path, "new");
    await writeFileAtomically(there, link, "in the link's place");
    assert.deepEqual(
      [path, other, link].map((one) => readFileSync(one, "utf8")),
      ["new", "old", "in the link's place"],
    );
    assert(!lstatSync(link).isSymbolicLink());
  });

  it("gives a new file the mode that was asked for, or that of another", async () => {
    const { there, folder } = await counted();
    const path = join(folder, "file");
    const mode = () => (statSync(path).mode & 0o7777).toString(8);
    await writeFileAtomically(there, path, "");
    assert.equal(mode(), "644");
    await writeFileAtomically(there, path, "", { mode: "600" });
    assert.equal(mode(), "600");
    const like = join(folder, "like");
    writeFileSync(like, "");
    chmodSync(like, 0o640);
    if (process.getuid?.() === 0) execFileSync("chown", ["1234:2345", like]);
    await writeFileAtomically(there, path, "", { like });
    assert.equal(mode(), "640");
    assert.deepEqual([statSync(path).uid, statSync(path).gid], [statSync(like).uid, statSync(like).gid]);
  });

  it("leaves nothing behind where a file cannot be written", async () => {
    const { there, folder } = await counted();
    mkdirSync(join(folder, "directory"));
    assert.match((await failure("user", writeFileAtomically(there, join(folder, "directory"), "x"))).message, /^Unable to write \S+ on /);
    assert.match((await failure("user", writeFileAtomically(there, join(folder, "none/file"), "x"))).message, /^Unable to write /);
    assert.match((await failure("user", writeFileAtomically(there, "/dev/full/x", "x"))).message, /^Unable to write /);
    assert.deepEqual(readdirSync(folder), ["directory"]);
  });

  it("creates a file once, also when many try, and complete from its first moment", async () => {
    const { there, folder } = await counted();
    const { host: other } = await host();
    const path = join(folder, "lock");
    const tries = Array.from({ length: 10 }, (_, index) => createExclusively(index % 2 ? there : other, path, `run ${index}`));
    const answers = await Promise.all(tries);
    assert.deepEqual(answers.toSorted(), ["created", ...Array(9).fill("exists")]);
    assert.equal(readFileSync(path, "utf8"), `run ${answers.indexOf("created")}`);
    assert.deepEqual(readdirSync(folder), ["lock"]);
  });

  it("never creates a file through a link", async () => {
    const { there, folder } = await counted();
    symlinkSync("elsewhere", join(folder, "link"));
    assert.equal(await createExclusively(there, join(folder, "link"), "x"), "exists");
    assert.deepEqual(readdirSync(folder), ["link"]);
    await failure("user", createExclusively(there, join(folder, "none/file"), "x"));
  });

  it("removes files and links, bears that they are gone, and removes no directory", async () => {
    const { there, folder } = await counted();
    for (const name of oddNames) writeFileSync(join(folder, name), "");
    symlinkSync("nothing", join(folder, "dangling"));
    for (const name of [...oddNames, "dangling", "dangling"]) await removeFile(there, join(folder, name));
    assert.deepEqual(readdirSync(folder), []);
    await removeFile(there, join(folder, "none/at/all"));
    assert.match((await failure("user", removeFile(there, folder))).message, /Is a directory/);
  });

  it("renames without replacing a file, a link or a directory", async () => {
    const { there, folder } = await counted();
    const [from, to] = [join(folder, "-from"), join(folder, "to here")];
    writeFileSync(from, "x");
    for (const occupy of [() => writeFileSync(to, "y"), () => symlinkSync("nothing", to), () => mkdirSync(to)]) {
      occupy();
      assert.match((await failure("user", renameWithoutReplacing(there, from, to))).message, /the new name is taken/);
      assert.deepEqual(readdirSync(folder), ["-from", "to here"]);
      execFileSync("rm", ["-r", "--", to]);
    }
    await renameWithoutReplacing(there, from, to);
    assert.deepEqual(readdirSync(folder), ["to here"]);
    assert.match((await failure("user", renameWithoutReplacing(there, from, to))).message, /the new name is taken/);
    await failure("user", renameWithoutReplacing(there, from, join(folder, "third")));
    symlinkSync("nothing", from);
    await renameWithoutReplacing(there, from, join(folder, "link"));
    assert.equal(readlinkSync(join(folder, "link")), "nothing");
  });

  it("takes over owner, mode and extended attributes, and leaves content and time", async () => {
    const { there, folder } = await counted();
    const [from, to] = [join(folder, "from"), join(folder, "to")];
    writeFileSync(from, "source");
    writeFileSync(to, "content");
    chmodSync(from, 0o2640);
    if (process.getuid?.() === 0) execFileSync("chown", ["1234:2345", from]);
    chmodSync(from, 0o2640);
    utimesSync(to, 1_700_000_000, 1_700_000_000);
    assert.deepEqual(await takeOver(there, from, to), []);
    const { mode, uid, gid, mtimeMs } = statSync(to);
    assert.deepEqual([mode & 0o7777, uid, gid, mtimeMs], [0o2640, statSync(from).uid, statSync(from).gid, 1_700_000_000_000]);
    assert.equal(readFileSync(to, "utf8"), "content");
    await failure("user", takeOver(there, join(folder, "none"), to));
    await failure("user", takeOver(there, from, join(folder, "none")));
    assert.deepEqual(readdirSync(folder), ["from", "to"]);
  });

  it("says what it may not take over, and takes over the rest", async function () {
    if (process.getuid?.() !== 0) this.skip(); // needs two owners
    const folder = await scratch();
    const [from, to] = [join(folder, "from"), join(folder, "to")];
    chmodSync(folder, 0o755);
    for (const path of [from, to]) writeFileSync(path, "");
    chmodSync(from, 0o604);
    execFileSync("chown", ["65534:65534", to]);
    const { host: there } = await host({ settings: asNobody });
    const refused = await takeOver(there, from, to);
    assert(
      refused.some((line) => /Operation not permitted/.test(line)),
      refused.join("\n"),
    );
    assert.deepEqual([statSync(to).mode & 0o7777, statSync(to).uid], [0o604, 65534]);
  });
});

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
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { seeFiles } from "../../provider/host/file-seen.js";
import { createExclusively, makeAnew, removeFile, renameWithoutReplacing, writeFileAtomically } from "../../provider/host/files.js";
import { counted, oddNames } from "./counted-host.js";
import { asNobody, failure, host, overSsh, scratch } from "./hosts.js";

describe("changing files on a host", function () {
  overSsh(this);

  it("writes a file in one step, whatever its name", async () => {
    const { there, folder } = await counted();
    for (const name of oddNames) await writeFileAtomically(there, join(folder, name), `content of ${name}`);
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

  it("lets all read a new file, or gives it owner, mode and extended attributes of another", async () => {
    const { there, folder } = await counted();
    const [path, like] = [join(folder, "file"), join(folder, "like")];
    const mode = () => (statSync(path).mode & 0o7777).toString(8);
    await writeFileAtomically(there, path, "");
    assert.equal(mode(), "644");
    writeFileSync(like, "");
    if (process.getuid?.() === 0) execFileSync("chown", ["1234:2345", like]);
    chmodSync(like, 0o2640);
    await makeAnew(there, path, { content: "content", like });
    assert.deepEqual([mode(), readFileSync(path, "utf8")], ["2640", "content"]);
    assert.deepEqual([statSync(path).uid, statSync(path).gid], [statSync(like).uid, statSync(like).gid]);
    await failure("user", makeAnew(there, path, { content: "", like: join(folder, "none") }));
    assert.deepEqual(readdirSync(folder), ["like"]);
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
    const tries = Array.from({ length: 10 }, (_, index) => createExclusively(index % 2 ? there : other, path, { content: `run ${index}` }));
    const answers = await Promise.all(tries);
    const [made = -1, ...more] = answers.flatMap((answer, index) => (answer === "exists" ? [] : [index]));
    assert.deepEqual(more, []);
    assert.equal(readFileSync(path, "utf8"), `run ${made}`);
    assert.deepEqual(readdirSync(folder), ["lock"]);
  });

  it("never creates a file through a link", async () => {
    const { there, folder } = await counted();
    symlinkSync("elsewhere", join(folder, "link"));
    assert.equal(await createExclusively(there, join(folder, "link"), { content: "x" }), "exists");
    assert.deepEqual(readdirSync(folder), ["link"]);
    await failure("user", createExclusively(there, join(folder, "none/file"), { content: "x" }));
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
      assert.match((await failure("user", renameWithoutReplacing(there, { from, to }))).message, /the new name is taken/);
      assert.deepEqual(readdirSync(folder), ["-from", "to here"]);
      execFileSync("rm", ["-r", "--", to]);
    }
    await renameWithoutReplacing(there, { from, to });
    assert.deepEqual(readdirSync(folder), ["to here"]);
    await failure("user", renameWithoutReplacing(there, { from, to: join(folder, "third") }));
    symlinkSync("nothing", from);
    await renameWithoutReplacing(there, { from, to: join(folder, "link") });
    assert.equal(readlinkSync(join(folder, "link")), "nothing");
  });

  it("leaves a file to the account that may not give it away", async function () {
    if (process.getuid?.() !== 0) this.skip(); // needs two owners
    const folder = await scratch();
    const [like, path] = [join(folder, "like"), join(folder, "file")];
    chmodSync(folder, 0o777);
    writeFileSync(like, "");
    chmodSync(like, 0o604);
    const { host: there } = await host({ settings: asNobody });
    await makeAnew(there, path, { content: "", like });
    assert.deepEqual([statSync(path).mode & 0o7777, statSync(path).uid], [0o604, 65534]);
  });

  it("removes and renames only the file that it was told to be there", async () => {
    const { there, folder } = await counted();
    const [path, other] = [join(folder, "file"), join(folder, "other")];
    for (const one of [path, other]) writeFileSync(one, one);
    const [known] = await seeFiles(there, [other], "keep-links");
    assert(known);
    assert.match((await failure("user", removeFile(there, path, known))).message, /not proved to be the expected file.*See who else/);
    await failure("user", renameWithoutReplacing(there, { from: path, to: join(folder, "new"), known }));
    assert.deepEqual(readdirSync(folder), ["file", "other"]);
    await renameWithoutReplacing(there, { from: other, to: join(folder, "new"), known });
    await removeFile(there, join(folder, "new"), known);
    assert.deepEqual(readdirSync(folder), ["file"]);
  });
});

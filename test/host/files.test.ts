import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, statfsSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { seeFiles } from "../../provider/host/file-seen.js";
import { freeBytes, readSmallFile, realPath } from "../../provider/host/files.js";
import { counted, oddNames } from "./counted-host.js";
import { asNobody, failure, host, overSsh, scratch, undoLater } from "./hosts.js";

describe("looking at files on a host", function () {
  overSsh(this);

  it("tells what lies at many paths, whatever their names, in one round trip", async () => {
    const { there, folder, trips } = await counted();
    const paths = oddNames.map((name) => join(folder, name));
    for (const path of paths) writeFileSync(path, path);
    const found = await seeFiles(there, [...paths, join(folder, "none"), join(folder, "plain", "below")], "keep-links");
    assert.equal(trips(), 1);
    assert.deepEqual(found.slice(-2), [undefined, undefined]);
    for (const [index, path] of paths.entries()) {
      const { dev, ino, size, mtimeNs, uid } = statSync(path, { bigint: true });
      const modified = `${mtimeNs / 1_000_000_000n}.${String(mtimeNs % 1_000_000_000n).padStart(9, "0")}`;
      const expected = {
        dev: String(dev),
        ino: String(ino),
        sizeBytes: Number(size),
        modified,
        kind: "file",
        mode: 0o644,
        owner: Number(uid),
      };
      const { identity: _, allocatedBytes: __, ...told } = found[index] ?? assert.fail(path);
      assert.deepEqual(told, expected, path);
    }
  });

  it("knows the kinds of files, and follows links or not", async () => {
    const { there, folder } = await counted();
    mkdirSync(join(folder, "directory"));
    writeFileSync(join(folder, "file"), "");
    symlinkSync("file", join(folder, "link"));
    symlinkSync("nothing", join(folder, "dangling"));
    const server = createServer().listen(join(folder, "socket"));
    undoLater(() => server.close());
    execFileSync("mkfifo", [join(folder, "fifo")]);
    const kinds = async (links: "follow" | "keep-links") => {
      const paths = ["directory", "file", "link", "dangling", "socket", "fifo"].map((name) => join(folder, name));
      return (await seeFiles(there, paths, links)).map((stat) => stat?.kind);
    };
    assert.deepEqual(await kinds("keep-links"), ["directory", "file", "link", "link", "socket", "fifo"]);
    assert.deepEqual(await kinds("follow"), ["directory", "file", "file", undefined, "socket", "fifo"]);
  });

  it("sees that a file was written to", async () => {
    const { there, folder } = await counted();
    const path = join(folder, "file");
    writeFileSync(path, "one");
    const [before] = await seeFiles(there, [path], "follow");
    utimesSync(path, 1_700_000_000, 1_700_000_000.5);
    const [after] = await seeFiles(there, [path], "follow");
    assert.notEqual(before?.modified, after?.modified);
    assert.equal(after?.modified, "1700000000.500000000");
  });

  it("does not take what it may not see for missing", async function () {
    if (process.getuid?.() !== 0) this.skip(); // needs a folder of somebody else's
    const { host: there } = await host({ settings: asNobody });
    const path = join(await scratch(), "file");
    const { message } = await failure("user", seeFiles(there, [path], "follow"));
    assert.match(
      message,
      /^Unable to look at \S+ on \S+: Permission denied\. Give the account access to it, or set `privilege: "sudo"`\.$/,
    );
    assert.match((await failure("user", readSmallFile(there, path))).message, /^Unable to read .*Permission denied/);
  });

  it("reads a small file, none, and no large one", async () => {
    const { there, folder } = await counted();
    const path = join(folder, "-n");
    for (const text of ["", "one\n", "no line break", "ü\n\n", `'"$x\``]) {
      writeFileSync(path, text);
      assert.equal(await readSmallFile(there, path), text);
    }
    assert.equal(await readSmallFile(there, join(folder, "none")), undefined);
    assert.equal(await readSmallFile(there, join(path, "below a file")), undefined);
    assert.match((await failure("user", readSmallFile(there, folder))).message, /it is not a regular file/);
    writeFileSync(path, "123456");
    assert.equal(await readSmallFile(there, path, 6), "123456");
    assert.match((await failure("user", readSmallFile(there, path, 5))).message, /it has 6 bytes, more than 5/);
  });

  it("resolves paths, measures free space and knows the machine", async () => {
    const { there, folder } = await counted();
    mkdirSync(join(folder, "new\nline\n"));
    symlinkSync(join(folder, "new\nline\n"), join(folder, "link"));
    assert.equal(await realPath(there, join(folder, "link/../link/.")), join(folder, "new\nline\n"));
    assert.match((await failure("user", realPath(there, join(folder, "none")))).message, /^Unable to resolve .*No such file or directory/);
    const { bavail, bsize } = statfsSync(folder);
    assert(Math.abs((await freeBytes(there, folder)) - bavail * bsize) < 1e9);
    await failure("user", freeBytes(there, join(folder, "none")));
  });
});

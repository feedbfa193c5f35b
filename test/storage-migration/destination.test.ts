/** What of a destination forbids a move: refused before anything is touched. */

import assert from "node:assert/strict";
import { cp, mkdir, open, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { run } from "../sandbox/command.js";
import { qemuCommand } from "../sandbox/qemu.js";
import { onStage } from "./stage.js";

describe("a destination that will not do", function () {
  this.timeout(180_000);
  const stage = onStage({ command: ["unshare", "--mount", ...qemuCommand()] });
  const path2 = (...names: string[]) => stage().at("path2", ...names);

  it("is refused if it is not there", async () => {
    const message = await stage().refuses({ destination: stage().at("path3") });
    assert.match(message, /Unable to move vda of .*: there is no directory .*path3\. Nothing was touched\. Create it/);
  });

  it("is refused if it is a file", async () => {
    const message = await stage().refuses({ destination: stage().at("vmlinux") });
    assert.match(message, /vmlinux is not a directory\. Nothing was touched\. Name a directory/);
  });

  it("is refused if it is a link that leads nowhere", async () => {
    await using _ = removed(stage().at("dangling"));
    await symlink("nowhere", stage().at("dangling"));
    const message = await stage().refuses({ destination: stage().at("dangling") });
    assert.match(message, /there is no directory .*dangling/);
  });

  it("is refused if nobody may write there", async () => {
    await using mount = await mounted(stage().at("read-only"), "size=64M,ro");
    const message = await stage().refuses({ destination: mount.path });
    assert.match(message, /Unable to .*read-only.*[Rr]ead-only file system/);
  });

  it("is refused if the guest's QEMU does not see it", async () => {
    await using mount = await mounted(stage().at("hidden"), "size=200M"); // after QEMU has got a mount namespace of its own
    const message = await stage().refuses({ destination: mount.path }, { also: [mount.path] });
    assert.match(
      message,
      /its QEMU cannot open a file in .*hidden \(.*No such file or directory.*\)\. Nothing was touched\. Let the guest's QEMU write there: .*mount namespace/,
    );
  });

  it("is refused if it is too small", async () => {
    await using mount = await mounted(stage().at("small"), "size=20M");
    const message = await stage().refuses({ destination: mount.path }, { also: [mount.path] });
    assert.match(message, /small has 20 MiB free, [\d.]+ MiB needed\. Nothing was touched\. Free space, then run `pulumi up` again/);
  });

  it("is refused if a file has the active image's name there", async () => {
    await using _ = removed(path2("old.qcow2"));
    await writeFile(path2("old.qcow2"), "somebody's");
    const message = await stage().refuses({});
    assert.match(message, /path2\/old\.qcow2 already exists and is not ours\. Nothing was touched\. Take it away or give it another name/);
    assert.equal(await readFile(path2("old.qcow2"), "utf8"), "somebody's");
  });

  it("is refused if even a dangling link has the active image's name there", async () => {
    await using _ = removed(path2("old.qcow2"));
    await symlink("nowhere", path2("old.qcow2"));
    assert.match(await stage().refuses({}), /path2\/old\.qcow2 already exists and is not ours/);
  });

  it("is refused if a lower layer's name has other content there", async () => {
    await using _ = removed(path2("common.qcow2"));
    await cp(stage().at("path1", "common.qcow2"), path2("common.qcow2"));
    const before = await readFile(path2("common.qcow2"));
    await using file = await open(path2("common.qcow2"), "r+");
    const { size } = await file.stat();
    await file.write(Buffer.from([0x12]), 0, 1, size - 1000);
    const message = await stage().refuses({});
    assert.match(
      message,
      /path2\/common\.qcow2 already exists with other content than .*path1\/common\.qcow2 \(.*\)\. Nothing was touched\. Take .* away/,
    );
    assert.equal((await readFile(path2("common.qcow2"))).compare(before) === 0, false);
  });

  it("is refused if a lower layer's name has something there that is no image", async () => {
    await using _ = removed(path2("common.qcow2"));
    await writeFile(path2("common.qcow2"), "somebody's");
    const message = await stage().refuses({});
    assert.match(
      message,
      /path2\/common\.qcow2 already exists, and the header of \S+ cannot be read \(.*not in qcow2 format\)\. Nothing was touched/,
    );
  });

  it("is refused if a lower layer's name is a directory there", async () => {
    await using _ = removed(path2("common.qcow2"));
    await mkdir(path2("common.qcow2"));
    const message = await stage().refuses({});
    assert.match(message, /path2\/common\.qcow2/);
  });
});

/** A tmpfs for one test. */
async function mounted(path: string, options: string): Promise<AsyncDisposable & { path: string }> {
  await mkdir(path);
  await run("mount", ["-t", "tmpfs", "-o", options, "livedisk-test", path]);
  return {
    path,
    async [Symbol.asyncDispose]() {
      await run("umount", [path]);
      await rm(path, { recursive: true });
    },
  };
}

/** What a test puts there goes with it. */
function removed(path: string): AsyncDisposable {
  return { [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

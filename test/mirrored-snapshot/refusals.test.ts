import assert from "node:assert/strict";
import { copyFile, open, readdir, rename, rm, unlink } from "node:fs/promises";
import { type Properties, Unfinished } from "../../provider/core/lifecycle.js";
import { domainDisk } from "../../provider/resources/domain-disk/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { run } from "../sandbox/command.js";
import { created, onOwnStage, onStage, refusal, type Stage } from "../storage-migration/stage.js";
import { copyLayers, endSnapshot, makeSnapshot, precreate, refused, snapshotArguments, writeInto } from "./scene.js";

describe("files that were made before", function () {
  this.timeout(180_000);
  const stage = onStage();
  const file = () => stage().at("path1/old.migrate");
  const mirror = () => stage().at("path2/new.qcow2");
  const args = (different: Properties = {}) => snapshotArguments(stage(), { reuseExternal: true, ...different });
  const create = (path: string, ...more: string[]) => run("qemu-img", ["create", "-q", "-u", "-f", "qcow2", ...more, path, "1G"]);
  const named = (name: string) => ["-b", name, "-F", "qcow2"];

  beforeEach(() => precreate(stage()));
  afterEach(async () => {
    await rm(file(), { force: true });
    await rm(mirror(), { force: true });
    assert.deepEqual(await readdir(stage().at("path2")), []);
    assert.equal(await stage().operator.activeImage("vda"), stage().at("path1/old.qcow2"));
  });

  const wrong: [string, () => Promise<unknown>, RegExp][] = [
    ["an overlay that is not there", () => unlink(file()), /there is no .*old\.migrate, and reuseExternal says so/],
    ["a mirror that is not there", () => unlink(mirror()), /there is no .*new\.qcow2, and reuseExternal says so/],
    [
      "an overlay on another layer",
      () => create(file(), ...named("common.qcow2")),
      /old\.migrate names common\.qcow2 as its backing file, which leads to/,
    ],
    [
      "a mirror on another layer",
      () => create(mirror(), ...named("common.qcow2")),
      /new\.qcow2 names common\.qcow2 as its backing file, and not the copy of old\.qcow2/,
    ],
    [
      "a mirror that leads back",
      () => create(mirror(), ...named(stage().at("path1/old.qcow2"))),
      /leads back to .*path1\/old\.qcow2 itself/,
    ],
    ["a mirror without a backing name", () => create(mirror()), /new\.qcow2 names no backing file/],
    [
      "another format of the backing file",
      () => create(mirror(), "-b", "old.qcow2", "-F", "raw"),
      /names raw as the format of its backing file/,
    ],
    [
      "another size",
      () => run("qemu-img", ["create", "-q", "-u", "-f", "qcow2", ...named("old.qcow2"), mirror(), "2G"]),
      /has 2147483648 bytes, and the disk 1073741824/,
    ],
    ["an overlay that holds something", () => writeInto(file()), /old\.migrate is not empty/],
    [
      "a raw file",
      () => run("qemu-img", ["create", "-q", "-f", "raw", mirror(), "1G"]),
      /cannot be read as a qcow2 image \(.*not in qcow2 format\)/,
    ],
  ];
  for (const [what, spoil, expected] of wrong) {
    it(`are refused for ${what}, with nothing touched`, async () => {
      await spoil();
      const error = await refused(makeSnapshot(args()));
      assert(!(error instanceof Unfinished));
      assert.match(error.message, expected);
      assert.match(error.message, /Nothing was touched/);
    });
  }

  it("are not overwritten without reuseExternal", async () => {
    assert.match(
      (await refused(makeSnapshot(args({ reuseExternal: false })))).message,
      /old\.migrate and .*new\.qcow2 are there already, and not ours/,
    );
  });

  it("must lie in two directories", async () => {
    const disks = [{ disk: "vda", file: file(), mirror: stage().at("path1/new.qcow2") }];
    assert.match((await refused(makeSnapshot(args({ disks })))).message, /mirror lies in the same directory as file/);
  });

  it("must lie in directories that are there", async () => {
    const disks = [{ disk: "vda", file: file(), mirror: stage().at("path9/new.qcow2") }];
    assert.match((await refused(makeSnapshot(args({ disks })))).message, /there is no directory .*path9/);
  });
});

const title = "while a mirrored snapshot lasts";
let outputs: Properties;

async function begin(stage: Stage): Promise<void> {
  outputs = (await makeSnapshot(snapshotArguments(stage))).outputs;
}

describe(title, function () {
  this.timeout(180_000);
  const stage = onOwnStage({}, begin);

  it("a pivot is refused for a mirror whose name another file has by now", async () => {
    await copyLayers(stage());
    const [mirror, aside] = [stage().at("path2/new.qcow2"), stage().at("path2/aside")];
    await rename(mirror, aside);
    await copyFile(aside, mirror);
    assert.match(
      (await refused(endSnapshot(outputs, "pivot"))).message,
      /new\.qcow2 is not the file any more that the guest's writes go to/,
    );
  });

  it("and after a refusal it pivots onto whole copies, with nothing lost", async () => {
    await refused(endSnapshot(outputs, "pivot"));
    await copyLayers(stage());
    await endSnapshot(outputs, "pivot");
    await stage().guest.waitForRecords(20);
    assert.equal(await stage().operator.activeImage("vda"), stage().at("path2/new.qcow2"));
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2/new.qcow2"));
  });
});

describe(title, function () {
  this.timeout(180_000);
  const stage = onStage({}, begin);
  const guest = () => ({ host: stage().sandbox.host, domain: { qmp: stage().guest.qmpSocket } });
  afterEach(async () => {
    for (const copy of ["old.qcow2", "common.qcow2"]) await rm(stage().at("path2", copy), { force: true });
  });

  it("a second snapshot of the disk is refused", async () => {
    const disks = [{ disk: "vda", file: stage().at("path1/second"), mirror: stage().at("path2/second") }];
    const { message } = await refused(makeSnapshot({ ...guest(), disks }));
    assert.match(message, /another mirrored snapshot of it lasts \(.*old\.migrate, mirrored to .*new\.qcow2\)/);
  });

  it("a move of the disk is refused", async () => {
    const message = await refusal(storageMigration, { ...guest(), disks: ["vda"], destination: stage().at("path2") });
    assert.match(message, /it is in a mirrored snapshot \(.*old\.migrate, mirrored to .*new\.qcow2\)\. End that first/);
    assert.match(await refusal(domainDisk, { ...guest(), disk: "vda", storage: stage().at("path2") }), /it is in a mirrored snapshot/);
  });

  it("a base of the disk is refused", async () => {
    const message = await refusal(domainDisk, { ...guest(), disk: "vda", base: stage().at("path1/common.qcow2") });
    assert.match(message, /Unable to pull up the layers of vda .*it is in a mirrored snapshot/);
  });

  it("the disk can still be adopted and reported", async () => {
    const adopted = await created(domainDisk, { ...guest(), disk: "vda" });
    assert.equal(adopted.outputs.bootPath, stage().at("path1/old.migrate"));
  });

  it("an up with nothing new changes nothing", async () => {
    const again = await makeSnapshot(snapshotArguments(stage()));
    assert.deepEqual(again.outputs.xml, outputs.xml);
  });

  const lasting = /The snapshot lasts, and the guest writes to both files; current: .*old\.migrate/;

  it("a pivot is refused as long as nothing is copied", async () => {
    const { message } = await refused(endSnapshot(outputs, "pivot"));
    assert.match(message, /there is no .*path2\/old\.qcow2, where a copy of .*path1\/old\.qcow2 must be/);
    assert.match(message, lasting);
  });

  it("a pivot is refused for a copy with a hole in it", async () => {
    await copyLayers(stage());
    const copy = await open(stage().at("path2/common.qcow2"), "r+");
    await copy.write(Buffer.alloc(65536), 0, 65536, 8 * 1024 * 1024);
    await copy.close();
    const { message } = await refused(endSnapshot(outputs, "pivot"));
    assert.match(message, /the copy .*path2\/\w+\.qcow2 differs from .*path1\/\w+\.qcow2 \(Content mismatch/);
    assert.match(message, lasting);
  });

  it("a pivot is refused for a chain that leads back into the source's directory", async () => {
    await copyLayers(stage());
    await run("qemu-img", [
      "rebase",
      "-u",
      "-f",
      "qcow2",
      "-F",
      "qcow2",
      "-b",
      stage().at("path1/common.qcow2"),
      stage().at("path2/old.qcow2"),
    ]);
    const { message } = await refused(endSnapshot(outputs, "pivot"));
    assert.match(message, /the mirror's chain leads back into the source's directory, to .*path1\/common\.qcow2/);
    assert.match(message, lasting);
  });

  it("a pivot is refused for a chain with a layer missing", async () => {
    await copyFile(stage().at("path1/old.qcow2"), stage().at("path2/old.qcow2"));
    assert.match((await refused(endSnapshot(outputs, "pivot"))).message, /there is no .*path2\/common\.qcow2, where a copy/);
  });
});

describe("a layer that both chains share", function () {
  this.timeout(180_000);
  const stage = onStage();

  it("may stay in the source's directory if it is the declared keepBase", async () => {
    const keepBase = stage().at("path1/common.qcow2");
    const { outputs } = await makeSnapshot(snapshotArguments(stage(), { keepBase }));
    await copyFile(stage().at("path1/old.qcow2"), stage().at("path2/old.qcow2"));
    await run("qemu-img", ["rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", keepBase, stage().at("path2/old.qcow2")]);
    await endSnapshot(outputs, "pivot");
    await stage().guest.waitForRecords(20);
    const { guest } = stage();
    assert.deepEqual(
      (await guest.openFiles()).filter((path) => path.endsWith(".qcow2")).sort(),
      [keepBase, stage().at("path2/new.qcow2"), stage().at("path2/old.qcow2")].sort(),
    );
    await guest.stop();
    await stage().holdsAll(stage().at("path2/new.qcow2"));
  });
});

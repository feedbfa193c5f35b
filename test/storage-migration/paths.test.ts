/** Names that a shell, QEMU's option syntax or a header could misread: in folders, images, sockets and links. None is ever run. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readdir, readlink, symlink } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { chainOf } from "../sandbox/check.js";
import { run } from "../sandbox/command.js";
import { type DiskOptions, twoLayers } from "../sandbox/disks.js";
import { onOwnStage, onStage } from "./stage.js";

const odd = `it's "a" $(touch x);touch x,,é:c`;
const names = [
  `it's "new" disk.qcow2`,
  "$(touch x) `touch x`;touch x&.qcow2",
  "-rf,comma,,format=raw.qcow2",
  "naïve-画像 %s \\n.qcow2",
  "* ? [a-z] #1 ~ {b,c}.qcow2",
];

const title = "odd names";

describe(title, function () {
  this.timeout(180_000);
  const stage = onOwnStage({
    sandboxName: "p",
    name: odd,
    style: "drive",
    disks: async (at) => {
      const storage = at("path1");
      const through = at("-l'i\"n$(touch x)k, é:");
      await symlink(storage, through);
      const disks = names.map((file, index): DiskOptions => {
        const [below, above] = twoLayers();
        return {
          id: `d${index}`,
          storage,
          through,
          layers: [
            { ...below, file: `base ${file}` },
            { ...above, file },
          ],
        };
      });
      // a relative name with a colon would be a protocol: its owner has to write it so
      await run("qemu-img", ["create", "-q", "-f", "qcow2", path.join(storage, "nbd:base.qcow2"), "1G"]);
      await run("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "./nbd:base.qcow2", "-F", "qcow2", path.join(storage, "ssh:top.qcow2")]);
      return [...disks, { id: "colon", storage, through, layers: [{ file: "nbd:base.qcow2" }, { file: "ssh:top.qcow2" }] }];
    },
  });
  const link = () => stage().at("-l'i\"n$(touch x)k, é:");
  const ids = [...names.map((_, index) => `d${index}`), "colon"];
  const files = [...names, "ssh:top.qcow2"];

  async function isAt(directory: string): Promise<void> {
    for (const [index, id] of ids.entries()) {
      const file = path.join(directory, files[index] ?? "");
      await stage().holdsAll(file, id);
      const chain = await chainOf(file);
      assert.equal(chain.length, 2);
      assert.deepEqual(
        chain.map((layer) => path.dirname(path.normalize(layer.path))),
        [directory, directory],
      );
    }
  }

  /** No name was taken for a command, wherever it would have left its file. */
  async function nothingWasRun(): Promise<void> {
    const places = [os.homedir(), "/", process.cwd(), stage().sandbox.folder, stage().folder];
    for (const place of places) assert(!existsSync(path.join(place, "x")), `${place}/x`);
    const inside = await readdir(stage().folder, { recursive: true });
    assert.deepEqual(
      inside.filter((name) => path.basename(name) === "x"),
      [],
    );
  }

  const destination = () => stage().at(`-d "e's\`touch x\`,=t: $(touch x)`);

  async function move(): Promise<void> {
    await mkdir(destination());
    const moves = await stage().moves({ disks: ids, destination: destination(), link: link() });
    assert.deepEqual(
      Object.values(moves).map(({ phase }) => phase),
      ids.map(() => "settled"),
    );
  }

  it("move, and their headers stay relative", async () => {
    await move();
    assert.equal(await readlink(link()), destination());
    await stage().guest.waitForRecords(5);
    await stage().guest.kill();
    await stage().guest.boot(); // by the same command line, through the link
    await stage().guest.stop();
    await isAt(destination());
    await nothingWasRun();
  });

  it("move back onto what lies there, which is compared and adopted", async () => {
    await move();
    const moves = await stage().moves({ disks: ids, destination: stage().at("path1"), link: link(), afterwards: "delete" });
    assert.deepEqual(
      Object.values(moves).map(({ phase, copiedBytes }) => [phase, copiedBytes ?? 0]),
      ids.map(() => ["settled", 0]),
    );
    await stage().guest.waitForRecords(5);
    await stage().guest.stop();
    await isAt(stage().at("path1"));
    await nothingWasRun();
  });
});

describe(title, () => {
  const args = { host: { address: "db-3", user: "root" }, domain: { qmp: "/run/web.qmp" }, disks: ["vda"], destination: "/srv/fast" };

  for (const argument of ["destination", "link", "keepBase"]) {
    it(`with a line break are refused in ${argument}, by check`, () => {
      const { failures } = storageMigration.check({}, { ...args, [argument]: "/srv/a\nb" });
      assert.deepEqual(failures, [{ property: argument, reason: `${argument} must not contain a line break` }]);
    });
  }

  it("with a line break are refused in the monitor's path, by check", () => {
    const { failures } = storageMigration.check({}, { ...args, domain: { qmp: "/run/a\nb" } });
    assert.deepEqual(
      failures.map(({ reason }) => reason),
      ["domain.qmp must not contain a line break"],
    );
  });
});

describe("an image whose name has a line break", function () {
  this.timeout(180_000);
  const stage = onStage({
    style: "drive",
    disks: (at) => [{ storage: at("path1"), layers: twoLayers().map((layer) => ({ ...layer, file: `two\nlines-${layer.file}` })) }],
  });

  it("moves like any other, or is refused in words", async () => {
    const { vda } = await stage().moves();
    assert.equal(vda?.bootPath, stage().at("path2", "two\nlines-old.qcow2"));
    await stage().guest.waitForRecords(5);
    await stage().guest.stop();
    await stage().holdsAll(vda.bootPath);
  });
});

describe("an image by a name that a switch could not give back", function () {
  this.timeout(180_000);
  const long = `${"l".repeat(210)}.qcow2`;
  const stage = onStage({
    style: "drive",
    disks: async (at) => {
      await mkdir(at("images"));
      await run("qemu-img", ["create", "-q", "-f", "qcow2", at("images", "real.qcow2"), "1G"]);
      await symlink(at("images", "real.qcow2"), at("path1", "alias.qcow2"));
      return [
        { storage: at("path1"), layers: [{ file: "alias.qcow2" }] },
        { storage: at("path1"), id: "vdb", layers: [{ file: long }] },
      ];
    },
  });

  it("is refused where it is a link to the image", async () => {
    const message = await stage().refuses({});
    assert.match(message, /path1\/alias\.qcow2 is a symbolic link to its image\. Nothing was touched\. Name the image itself/);
  });

  it("is refused where it is too long to be added to", async () => {
    const message = await stage().refuses({ disks: ["vdb"] });
    assert.match(
      message,
      /l\.qcow2 has 216 bytes\. Nothing was touched\. A move adds to names for a while: give it one of at most 200 bytes\.$/,
    );
  });
});

/** Who may move a disk, and what of it: one owner, one run at a time, names that do not collide, a manifest that nobody edited. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { mkdir, readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { fileNames } from "../../provider/core/disk/names.js";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { newHolder } from "../../provider/journal/holder.js";
import { domainDisk } from "../../provider/resources/domain-disk/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { oneLayer } from "../sandbox/disks.js";
import { thisWorld } from "../world.js";
import { snapshotOf } from "./snapshot.js";
import { created, onOwnStage, Recorder, refusal, stopAt } from "./stage.js";

const urn = (name: string) => `urn:pulumi:dev::shop::pulumi-nodejs:dynamic/livedisk:StorageMigration::${name}`;

describe("a move", function () {
  this.timeout(180_000);
  const stage = onOwnStage({
    disks: async (at) => {
      await mkdir(at("path0"));
      return [
        { storage: at("path1") },
        { storage: at("path1"), id: "vdb", layers: oneLayer("same.qcow2") },
        { storage: at("path0"), id: "vdc", layers: oneLayer("same.qcow2") },
      ];
    },
  });

  it("of two images with one name is refused, with both named", async () => {
    const message = await stage().refuses({ disks: ["vdb", "vdc"] });
    assert.match(
      message,
      /path0\/same\.qcow2 and .*path1\/same\.qcow2 have the same name, and would both be .*path2\/same\.qcow2\. Nothing was touched/,
    );
  });

  it("with a keepBase that is no layer is refused, with the layers named", async () => {
    const message = await stage().refuses({ keepBase: stage().at("path1", "comon.qcow2") });
    assert.match(message, /keepBase .*comon\.qcow2 is not a layer of its chain \(.*old\.qcow2 ← .*common\.qcow2\)\. Nothing was touched/);
  });

  it("with a keepBase that is the active image is refused", async () => {
    const message = await stage().refuses({ keepBase: stage().at("path1", "old.qcow2") });
    assert.match(
      message,
      /keepBase .*old\.qcow2 is its active image\. Nothing was touched\. Name a layer below the active one, or leave keepBase out/,
    );
  });

  it("of a disk that another resource owns is refused, by whatever name it is called", async () => {
    const qdev = "/machine/peripheral/vdb/virtio-backend";
    const adopting = { ...stage().arguments, disk: "vdb", disks: undefined, destination: undefined };
    await created(domainDisk, adopting, new Recorder(urn("adopted")));
    for (const alias of ["vdb", qdev]) {
      const message = await stage().refuses({ disks: [alias] }, { run: new Recorder(urn("moved")) });
      assert.match(
        message,
        /Unable to manage .*: .*::?moved and .*::?adopted are the same disk|moved and .*adopted are the same disk of the same guest/,
      );
      assert.match(message, /Nothing was touched\. Take the disk out of one of the two/);
    }
  });
});

describe("a move while another run holds the lock", function () {
  this.timeout(180_000);
  const stage = onOwnStage();
  const lockName = async () => (await readdir(stage().at("path1"))).find((name) => name.endsWith(".lock"));

  /** A lock as a run of 0.1.0 would have left it. */
  async function lockOf(holder: object, ageSeconds = 0): Promise<string> {
    const probe = stage().moves({ destination: stage().at("path1") }); // settled: shows the lock's name and nothing else
    let name: string | undefined;
    while (name === undefined) name = await lockName();
    await probe;
    const file = stage().at("path1", name.replace(/\.lock\..*/, ".lock"));
    await writeFile(file, `${JSON.stringify({ ...newHolder(thisWorld), run: "0123456789abcdef", ...holder })}\n`, { mode: 0o600 });
    const then = Date.now() / 1000 - ageSeconds;
    await utimes(file, then, then);
    return file;
  }

  it("is refused, with who holds the lock", async () => {
    const file = await lockOf({ name: "runner-7" });
    const message = await stage().refuses({});
    assert.match(
      message,
      /another run holds the lock \(0123456789abcdef, process \d+ on runner-7; its lock is .*\.lock\)\. Nothing was touched\. Let it end/,
    );
    assert.match(await readFile(file, "utf8"), /0123456789abcdef/);
  });

  it("takes over at once from a process of this machine that is gone", async () => {
    const { pid } = spawnSync("true");
    await lockOf({ pid, born: "1" });
    const began = performance.now();
    assert.equal((await stage().moves({ destination: stage().at("path1") })).vda?.phase, "settled");
    assert(performance.now() - began < 10_000);
    assert.equal(await lockName(), undefined);
  });

  it("is refused for a lock that is none", async () => {
    const file = await lockOf({});
    await writeFile(file, "hello\n", { mode: 0o600 });
    assert.match(
      await stage().refuses({}),
      /Unable to read the lock .*\.lock on .*: it is not as we write it\. If no run is under way, remove it/,
    );
  });

  it("in the same process is refused until the first one ends, and that one arrives", async () => {
    const first = new Recorder();
    const moving = stage().moves({ maxBytesPerSecond: 20_000_000 }, first);
    while (!first.lines.some((line) => line.includes("copying"))) await new Promise((wake) => setTimeout(wake, 20));
    const message = await refusal(storageMigration, stage().arguments);
    assert.match(message, /another run holds the lock/);
    assert.equal((await moving).vda?.phase, "settled");
    await stage().guest.waitForRecords(5);
  });

  it("whose lock somebody removed in the middle takes no further step, says so, and goes on in the next run", async () => {
    const slow = { maxBytesPerSecond: 20_000_000 };
    const removing = new (class extends Recorder {
      override progress(text: string): void {
        super.progress(text);
        if (!text.includes("mirroring")) return;
        for (const name of readdirSync(stage().at("path1"))) if (name.endsWith(".lock")) rmSync(stage().at("path1", name));
      }
    })();
    const moving = created(storageMigration, { ...stage().arguments, ...slow }, removing);
    const thrown: unknown = await moving.catch((reason: unknown) => reason);
    assert(thrown instanceof Unfinished, String(thrown));
    assert.match(
      thrown.message,
      /somebody removed .*path1\/lm-.*\.lock, the lock of this run, and another run may have begun there\. Nothing more was done/,
    );
    assert.equal(await stage().operator.activeImage("vda"), stage().at("path1", "old.qcow2"));
    assert.equal((await stage().moves({ maxBytesPerSecond: 0 })).vda?.phase, "settled");
    await stage().guest.waitForRecords(5);
  });

  it("that was begun and whose manifest was edited is refused in words, and goes on when the text is put back", async () => {
    const slow = { maxBytesPerSecond: 20_000_000 };
    await assert.rejects(stopAt("copying", stage(), slow), Unfinished);
    const key = (await readdir(stage().at("path1"))).find((name) => name.endsWith(".manifest.json"))?.slice(3, 11) ?? "";
    const file = stage().at("path1", fileNames.manifest(key));
    const text = await readFile(file, "utf8");
    await writeFile(file, text.replace('"version": 1', '"version": 1, "note": "mine"'));
    const look = () => snapshotOf([stage().at("path1"), stage().at("path2")], stage().operator, [stage().at("path1", "old.qcow2")]);
    const before = await look();
    const message = await refusal(storageMigration, { ...stage().arguments, ...slow });
    assert.match(
      message,
      /Unable to read the manifest .*manifest\.json: it is not as this version of pulumi-livedisk writes it\. Nothing was touched\./,
    );
    assert.deepEqual(await look(), before);
    await writeFile(file, text);
    assert.equal((await stage().moves({ maxBytesPerSecond: 0 })).vda?.phase, "settled");
    await stage().guest.waitForRecords(5);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "old.qcow2"));
  });
});

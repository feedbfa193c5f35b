/** A link that is not this guest's alone. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { symlink, writeFile } from "node:fs/promises";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { until } from "../sandbox/command.js";
import { oneLayer } from "../sandbox/disks.js";
import { mourn, watchOver } from "../sandbox/processes.js";
import { qemuCommand } from "../sandbox/qemu.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { onStage } from "../storage-migration/stage.js";

describe("a link through which another guest finds its disk too", function () {
  this.timeout(180_000);
  const stage = onStage({
    disks: async (at) => {
      await symlink("path1", at("disks"));
      return [{ storage: at("path1"), through: at("disks") }];
    },
  });
  const link = () => ({ link: stage().at("disks") });

  it("leads that guest to its disk also after a move of this one", async () => {
    const storage = stage().at("path1");
    const disks = [{ storage, layers: oneLayer("other.qcow2"), through: stage().at("disks") }];
    const other = await stage().sandbox.startGuest({ name: "other", disks });
    const refused: unknown = await stage()
      .moves(link())
      .catch((reason: unknown) => reason);
    await other.kill();
    await other.boot();
    await other.waitForRecords(1);
    assert.match(
      String(refused),
      /another guest uses the link .*disks too \(process \d+ names .*disks\/other\.qcow2\).* Nothing was touched\. Name the disks of each/,
    );
    await other.kill();
  });

  it("leads that guest to its disk also if it starts while this one is mirrored; once it has ended, the move goes on", async () => {
    const file = stage().at("disks", "late.raw");
    await writeFile(file, Buffer.alloc(2 ** 20));
    await using proxy = await QmpProxy.listen(stage().at("proxy.sock"), stage().guest.qmpSocket);
    let other: ChildProcess | undefined;
    proxy.before("blockdev-mirror", async () => {
      const [program = "", ...words] = qemuCommand();
      const [pidFile, machine] = [stage().at("late.pid"), ["-M", "none", "-display", "none", "-S"]];
      const args = [...words, ...machine, "-drive", `file=${file},format=raw,if=none`, "-pidfile", pidFile];
      other = watchOver(spawn(program, args, { stdio: "ignore" }), "another QEMU");
      // it writes that when all of its command line is done
      const isThere = () => existsSync(pidFile) || undefined;
      await until(30, isThere, () => "The other QEMU does not start.");
      return "forward" as const;
    });
    const moves = () => stage().moves({ ...link(), domain: { qmp: proxy.path } });
    const refused: unknown = await moves().catch((reason: unknown) => reason);
    assert(refused instanceof Unfinished, String(refused));
    assert.match(refused.message, /names .*disks\/late\.raw\).* The guest's disk stays on .*path1\/old\.qcow2, which is current/);
    await mourn(other, "SIGKILL");
    assert.equal((await moves()).vda?.phase, "settled");
    await stage().guest.waitForRecords(5);
    await stage().reboot();
    assert.equal(await stage().operator.activeImage("vda"), stage().at("disks", "old.qcow2"));
  });
});

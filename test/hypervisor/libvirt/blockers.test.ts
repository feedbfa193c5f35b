import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { storageMigration } from "../../../provider/resources/storage-migration/lifecycle.js";
import { run, until } from "../../sandbox/command.js";
import { mourn, watchOver } from "../../sandbox/processes.js";
import { refusal } from "../../storage-migration/stage.js";
import { LibvirtStage } from "./stage.js";

describe("a domain that was paused, saved and restored", function () {
  this.timeout(240_000);

  it("is moved, though libvirt calls it migrating, and stays paused", async () => {
    await using stage = await LibvirtStage.open();
    for (const verb of ["suspend", "managedsave", "start"]) await stage.libvirtd.virsh(verb, "web");
    assert.equal((await stage.libvirtd.virsh("domstate", "--reason", "web")).trim(), "paused (migrating)");
    assert.equal((await stage.moves()).vda?.phase, "settled");
    assert.equal(await stage.guest.state(), "paused");
    await stage.libvirtd.virsh("resume", "web");
    await stage.survivesRestart(stage.at("path2", "old.qcow2"));
  });
});

describe("a domain that is being saved", function () {
  this.timeout(240_000);

  it("is not moved, in words, and is moved when that was called off", async () => {
    await using stage = await LibvirtStage.open();
    const fifo = stage.at("saved");
    await run("mkfifo", [fifo]);
    await run("chmod", ["666", fifo]);
    const children: ChildProcess[] = [watchOver(spawn("sh", ["-c", 'exec sleep 600 <"$0"', fifo]), "a reader that never reads")];
    try {
      children.push(watchOver(spawn("virsh", ["-q", "-c", stage.libvirtd.uri, "save", "web", fifo]), "virsh save"));
      const isSaving = async () => (await stage.libvirtd.virsh("domstate", "--reason", "web")).includes("(saving)") || undefined;
      await until(30, isSaving, () => "The domain is not being saved.");
      assert.match(
        await refusal(storageMigration, stage.arguments),
        /the guest is being saved to a file \(paused \(saving\)\).*Wait until/,
      );
      await mourn(children[0], "SIGKILL"); // nobody reads any more, so the save fails
      const runs = async () => (await stage.guest.state()) === "running" || undefined;
      await until(30, runs, () => "The domain does not go on.");
    } finally {
      for (const child of children) await mourn(child, "SIGKILL");
    }
    assert.equal((await stage.moves()).vda?.phase, "settled");
    await stage.survivesRestart(stage.at("path2", "old.qcow2"));
  });
});

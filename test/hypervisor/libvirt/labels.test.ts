import assert from "node:assert/strict";
import { chmod, chown, readdir, stat } from "node:fs/promises";
import { LibvirtStage } from "./stage.js";

/** Owner and mode of every image in a folder. */
async function ownersIn(stage: LibvirtStage, folder: string): Promise<Record<string, string>> {
  const names = await readdir(stage.at(folder));
  const stats = await Promise.all(names.map((name) => stat(stage.at(folder, name))));
  return Object.fromEntries(stats.map(({ uid, mode }, index) => [names[index], `${uid} ${(mode & 0o777).toString(8)}`]));
}

describe("images that a move through libvirt makes", function () {
  this.timeout(240_000);

  it("belong to libvirt's user where libvirt labels them (dynamic_ownership), and start again after that", async () => {
    await using stage = await LibvirtStage.open({ qemuConf: "dynamic_ownership = 1" });
    const running = await ownersIn(stage, "path1");
    await stage.moves({ strategy: "snapshot" });
    const old = stage.at("path2/old.qcow2");
    assert.deepEqual(await ownersIn(stage, "path2"), running);
    await stage.survivesRestart(old);
  });

  it("have the source's owner and mode where nobody labels them", async () => {
    await using stage = await LibvirtStage.open({ qemuConf: 'dynamic_ownership = 0\nuser = "root"\ngroup = "root"' });
    for (const name of await readdir(stage.at("path1"))) {
      await chown(stage.at("path1", name), 1234, 1234);
      await chmod(stage.at("path1", name), 0o600);
    }
    const running = await ownersIn(stage, "path1");
    for (const [strategy, to] of [
      ["mirror", "path2"],
      ["snapshot", "path1"],
    ] as const) {
      await stage.moves({ strategy, destination: stage.at(to), afterwards: "delete" });
      assert.deepEqual(await ownersIn(stage, to), running);
    }
    await stage.survivesRestart(stage.at("path1/old.qcow2"));
  });
});

/** Names of directories through libvirt: each is one word for virsh, whatever is in it. */

import { mkdir, writeFile } from "node:fs/promises";
import { escaped } from "../../provider/core/xml-text.js";
import { LibvirtStage } from "../hypervisor/libvirt/stage.js";

describe("a disk of libvirt's", function () {
  this.timeout(180_000);

  it(`is moved to and from a directory with ', " and blanks in its name, though its definition names another file`, async () => {
    const [from, to] = [`it's "here" ü`, `and it's  "there"`];
    await using stage = await LibvirtStage.open({ disks: (at) => [{ storage: at(from) }] });
    await mkdir(stage.at(to));
    for (const [source, destination] of [[from, to] as const, [to, from] as const]) {
      await defineElsewhere(stage, stage.at(source, "old.qcow2"));
      await stage.moves({ destination: stage.at(destination), afterwards: "delete" });
    }
    await stage.survivesRestart(stage.at(from, "old.qcow2"));
  });

  it("is moved to a directory with \\x in its name", async () => {
    await using stage = await LibvirtStage.open();
    await mkdir(stage.at("odd\\x41"));
    await stage.moves({ destination: stage.at("odd\\x41") });
    await stage.guest.waitForRecords(5);
    await stage.guest.destroy();
    await stage.guest.boot();
    await stage.guest.destroy();
    await stage.holdsAll(stage.at("odd\\x41", "old.qcow2"));
  });
});

/** Then libvirt itself does not take the definition along in the pivot, and the switch has to. */
async function defineElsewhere({ libvirtd, guest }: LibvirtStage, active: string): Promise<void> {
  const text = await libvirtd.virsh("dumpxml", "--inactive", guest.name);
  const source = /<source file=('.*?'|".*?")/;
  const other = text.replace(source, `<source file='${escaped(`${active}.other`)}'`);
  const file = guest.at("elsewhere.xml");
  await writeFile(file, other);
  await libvirtd.virsh("define", file);
}

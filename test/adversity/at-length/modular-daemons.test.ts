/** A host that goes over to libvirt's modular daemons, and back, in the middle of a switch: the URI names no socket, and virsh finds the one that is there. */

import assert from "node:assert/strict";
import { storageMigration } from "../../../provider/resources/storage-migration/lifecycle.js";
import { asksInVain, defineByAlias, isAt, whileDown } from "../../hypervisor/libvirt/down.js";
import { LibvirtStage } from "../../hypervisor/libvirt/stage.js";
import { created } from "../../storage-migration/stage.js";

describe("a libvirtd that comes back as virtqemud in the middle of a switch", function () {
  this.timeout(240_000);

  it("is found by its own socket: the same run ends the switch, and so it does on the way back", async () => {
    await using stage = await LibvirtStage.open();
    await stage.virshLog.lookIn(stage.libvirtd);
    const domain = { ...stage.domain, uri: "qemu:///system" };
    const goesTo = (side: "path1" | "path2") => created(storageMigration, { ...stage.arguments, domain, destination: stage.at(side) });
    const meanwhile = () => asksInVain(stage, 6); // by then the run's own virsh, which nobody has asked since, has ended
    const over = { place: "before the resume", meanwhile, daemon: "virtqemud" } as const;
    await (await whileDown(stage, () => goesTo("path2"), over)).ended;
    assert.match(stage.libvirtd.uri, /virtqemud-sock$/);
    await isAt(stage, "path2");
    await defineByAlias(stage, stage.at("path2/old.qcow2"));
    const back = { place: "after the pivot, before the definition", meanwhile } as const;
    await (await whileDown(stage, () => goesTo("path1"), back)).ended;
    await isAt(stage, "path1");
    await stage.guest.destroy();
    await stage.holdsAll(stage.at("path1/old.qcow2"));
  });
});

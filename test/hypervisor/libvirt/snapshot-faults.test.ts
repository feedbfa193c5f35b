import { type Fault, type MomentName, StruckMove } from "./struck-move.js";

type Scenario = [moment: MomentName, fault: Fault, after: "up" | "destroy"];

const scenarios: Scenario[] = [
  ["the freeze", "QEMU is killed", "destroy"],
  ["the copy", "QEMU is killed", "up"],
  ["the copy", "libvirtd is killed", "destroy"],
  ["the switch", "the run is killed", "up"],
  ["the switch", "QEMU is killed", "destroy"],
  ["the switch of the collapse", "the run is killed", "up"],
  ["the switch of the collapse", "libvirtd is killed", "up"],
  ["the collapse", "its SSH connection is cut", "destroy"],
];

describe("strategy snapshot through libvirt", function () {
  this.timeout(240_000);
  for (const [moment, fault, ending] of scenarios) {
    it(`is ended by the next ${ending}, with nothing lost, after ${fault} ${moment}`, async () => {
      await using move = await StruckMove.open({ strategy: "snapshot" });
      await move.goes(moment, fault, ending);
    });
  }
});

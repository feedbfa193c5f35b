import { type Fault, type MomentName, StruckMove } from "./struck-move.js";

type Scenario = [moment: MomentName, fault: Fault, after: "up" | "destroy"];

const ofMirror: Scenario[] = [
  ["the copy", "its SSH connection is cut", "destroy"],
  ["the copy", "QEMU is killed", "up"],
  ["the mirror", "its SSH connection is cut", "up"],
  ["the mirror", "QEMU is killed", "destroy"],
  ["the switch", "QEMU is killed", "up"],
  ["the mirror", "libvirtd is killed", "up"],
  ["the switch", "libvirtd is killed", "destroy"],
];

describe("a move through libvirt", function () {
  this.timeout(240_000);
  for (const [moment, fault, ending] of ofMirror) {
    it(`is ended by the next ${ending}, with nothing lost, after ${fault} ${moment}`, async () => {
      await using move = await StruckMove.open();
      await move.goes(moment, fault, ending);
    });
  }
});

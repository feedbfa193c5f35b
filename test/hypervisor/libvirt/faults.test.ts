import { type Fault, type MomentName, Shuttle } from "./shuttle.js";

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
  let shuttle: Shuttle;
  before(async () => {
    shuttle = await Shuttle.open();
  });
  after(() => shuttle[Symbol.asyncDispose]());

  for (const [moment, fault, ending] of ofMirror) {
    it(`in whose ${moment.slice(4)} ${fault} is ended by the next ${ending}, and nothing is lost`, () =>
      shuttle.goes(moment, fault, ending));
  }
});

import { type Fault, type MomentName, Shuttle } from "./shuttle.js";

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
  let shuttle: Shuttle;
  before(async () => {
    shuttle = await Shuttle.open({ strategy: "snapshot" });
  });
  after(() => shuttle[Symbol.asyncDispose]());

  for (const [moment, fault, ending] of scenarios) {
    it(`in whose ${moment.slice(4)} ${fault} is ended by the next ${ending}, and nothing is lost`, () =>
      shuttle.goes(moment, fault, ending));
  }
});

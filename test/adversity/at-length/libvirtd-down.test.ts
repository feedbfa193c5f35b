/** A libvirtd that is down for 20 minutes in the middle of a switch: longer than a question, a lock or a run that stands still is waited for. */

import assert from "node:assert/strict";
import { defineByAlias, isAt, type SwitchPlace, standsStill, switchPlaces, whileDown } from "../../hypervisor/libvirt/down.js";
import { LibvirtStage } from "../../hypervisor/libvirt/stage.js";
import { thisWorld } from "../../world.js";
import { Runner } from "../runner.js";

const minutesDown = 20;

/** The guest is suspended from the begin to the end of the silence. */
async function standsStillForLong(stage: LibvirtStage): Promise<void> {
  await standsStill(stage, 5);
  await thisWorld.sleep(60 * minutesDown);
  await standsStill(stage, 5);
}

/** A pivot that libvirt was never told is not made: the guest runs on where it was, and the next run makes it. Elsewhere the same run ends the switch. */
async function isDownAt(place: SwitchPlace): Promise<void> {
  await using stage = await LibvirtStage.open();
  await defineByAlias(stage, stage.at("path1/old.qcow2"));
  const run = new Runner(stage.arguments);
  const { ended } = await whileDown(stage, () => run.ending, { place, meanwhile: () => standsStillForLong(stage) });
  const ending = await ended;
  if (place === "after the suspend") {
    assert(ending.failed === "yes", "It says that the disk has moved.");
    assert.match(ending.message, /Unable to switch vda of web .* Run `pulumi up` again/);
    assert.equal((await new Runner(stage.arguments).ending).failed, "no");
  } else {
    assert.equal(ending.failed, "no", run.lines.at(-1));
  }
  const wait = /vda switching: libvirt has not answered for \d+ s; the guest is suspended until it does/;
  const waits = run.lines.filter((line) => wait.test(line));
  assert(waits.length > (60 * minutesDown) / 15, `it is told ${waits.length} times, at last: ${waits.at(-1)}`);
  await isAt(stage, "path2");
  await stage.survivesRestart(stage.at("path2/old.qcow2"));
}

describe("a libvirtd that is down for 20 minutes in the middle of a switch", function () {
  this.timeout(1000 * 60 * (minutesDown + 10));

  // each run is a process of its own: what ends one stage ends the connections of its process
  it("is waited for at each place of it, which the user is told all the time, and then the switch ends", async () => {
    await Promise.all((Object.keys(switchPlaces) as SwitchPlace[]).map(isDownAt));
  });
});

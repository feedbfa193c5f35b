import assert from "node:assert/strict";
import type { Passing } from "../sandbox/gate.js";
import { allPoints, commandName, faults, type Recording, spread, titleOf } from "./points.js";
import { strategies } from "./strategies.js";

const change = (name: string): Passing => ({ road: "qmp", name, kind: "change" });
const question: Passing = { road: "qmp", name: "query-jobs", kind: "question" };

const move: Recording = [change("add"), question, change("rm"), question, change("rm"), question, change("mirror"), change("rm")];
const recordings = { mirror: move, commit: move, pull: move, none: [...move, change("end")] };

describe("the seeded spread of points", () => {
  it("is the same for the same seed, and another for another", () => {
    assert.deepEqual(spread(recordings, 7), spread(recordings, 7));
    assert.notDeepEqual(spread(recordings, 7), spread(recordings, 8));
  });

  it("has as many points as are asked for at least", () => {
    assert.equal(spread(recordings, 7, 200).length, 200);
    assert.ok(spread(recordings, 7, 0).length > 0);
  });

  for (const strategy of strategies) {
    it(`breaks ${strategy} at each command and by each fault at least twice, and goes on either way`, () => {
      const points = spread(recordings, 7, 0).filter((point) => point.strategy === strategy);
      for (const command of new Set(recordings[strategy].map(commandName))) {
        const here = points.filter((point) => point.command === command);
        assert.ok(here.length >= 2, command);
        assert.equal(new Set(here.map(({ ending }) => ending)).size, 2, command);
      }
      for (const fault of faults) assert.ok(points.filter((point) => point.fault === fault).length >= 2, fault);
    });
  }

  it("breaks a strategy at the same points, whatever other strategies are recorded", () => {
    const ofPull = spread(recordings, 7, 0).filter(({ strategy }) => strategy === "pull");
    assert.deepEqual(spread({ pull: move }, 7, 0), ofPull);
  });

  it("names only commands that were recorded", () => {
    for (const { strategy, command, occurrence } of spread(recordings, 7)) {
      const count = recordings[strategy].filter((recorded) => commandName(recorded) === command).length;
      assert.ok(occurrence >= 1 && occurrence <= count, `${command} #${occurrence}`);
    }
  });
});

describe("all points", () => {
  it("are each command with each fault, before and after it, and each way of going on, every one once", () => {
    const titles = allPoints(recordings).map(titleOf);
    const commands = 3 * 6 + 7; // the polls are one
    assert.equal(titles.length, commands * faults.length * 2 * 2);
    assert.equal(new Set(titles).size, titles.length);
  });
});

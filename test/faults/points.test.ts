import assert from "node:assert/strict";
import type { Passing } from "../sandbox/gate.js";
import { allPoints, commandName, earlier, faults, oneFewer, pairs, type Recording, spread, titleOf } from "./points.js";
import { strategies } from "./strategies.js";
import { thirdEvents, withThirdEvents } from "./third-events.js";

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

describe("the pairs of breaks", () => {
  it("are as many as are asked for, the same for the same seed", () => {
    assert.equal(pairs(recordings, 7, 30).length, 30);
    assert.deepEqual(pairs(recordings, 7, 30), pairs(recordings, 7, 30));
    assert.notDeepEqual(pairs(recordings, 7, 30), pairs(recordings, 8, 30));
    assert.deepEqual(pairs(recordings, 7, 0), []);
  });

  it("have every fault on either side of a command as the second one, early and late in the next run", () => {
    const seconds = pairs(recordings, 7, 200).flatMap(({ second }) => second ?? []);
    assert.equal(new Set(seconds.map(({ fault, moment }) => `${fault} ${moment}`)).size, 2 * faults.length);
    assert(seconds.every(({ nth }) => Number.isInteger(nth) && nth >= 1 && nth <= 60));
    assert(seconds.filter(({ nth }) => nth < 8).length > 40 && seconds.filter(({ nth }) => nth > 8).length > 40);
  });

  it("have titles of their own", () => {
    const titles = pairs(recordings, 7, 20).map(titleOf);
    assert.match(titles[0] ?? "", /, then \S+ (before|after) command \d+ of the next up, then (up|destroy)$/);
  });

  it("are tried with an earlier second break until there is none", () => {
    const [pair] = pairs(recordings, 7, 1);
    assert(pair?.second);
    const at = (nth: number) => ({ ...pair, second: { nth, fault: "ssh-cut", moment: "after" } as const });
    assert.deepEqual([earlier(at(10))?.second?.nth, earlier(at(2))?.second?.nth, earlier(at(1))], [4, 1, undefined]);
    const { second: _, ...single } = pair;
    assert.equal(earlier(single), undefined);
  });

  it("that do not come are tried at the command before, if there is one", () => {
    const [point] = spread(recordings, 7);
    assert(point);
    assert.equal(oneFewer({ ...point, occurrence: 5 })?.occurrence, 4);
    assert.equal(oneFewer({ ...point, occurrence: 1 }), undefined);
  });
});

describe("the third events of pairs", () => {
  const twice = (seed: number) => withThirdEvents(pairs(recordings, 7, 300), seed);
  const thirds = twice(7).flatMap(({ third, ...point }) => (third ? [{ third, ...point }] : []));

  it("are with more than every second pair, each kind often, the same for the same seed", () => {
    assert(thirds.length > 160 && thirds.length < 260, String(thirds.length));
    const counts = Object.values(Object.groupBy(thirds, ({ third }) => third.event)).map((some) => some?.length ?? 0);
    assert.equal(counts.length, thirdEvents.length);
    assert(Math.min(...counts) >= 10, counts.join(", "));
    assert.deepEqual(twice(7), twice(7));
    assert.notDeepEqual(twice(7), twice(8));
  });

  it("leave the breaks as they are, but for a supervisor, who needs a QEMU that is killed, of a guest that may be started by its own command line", () => {
    for (const { third, second, strategy } of thirds.filter(({ third }) => third.event === "supervisor"))
      assert.deepEqual([third.event, second?.fault, strategy], ["supervisor", "qemu-killed", "mirror"]);
    const others = twice(7).filter(({ third }) => third?.event !== "supervisor");
    const before = new Set(pairs(recordings, 7, 300).map((point) => JSON.stringify(point)));
    for (const { third: _, ...point } of others) assert(before.has(JSON.stringify(point)), titleOf(point));
  });

  it("are named in the title", () => {
    const titles = thirds.map(titleOf).join("\n");
    for (const words of [
      /, with another run at command \d+, then/,
      /, with foreign overlay, then/,
      /, with slow (fsync|rename|stat) at command \d+/,
    ])
      assert.match(titles, words);
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

/** The one loop: what it does around the steps of any flow. */

import assert from "node:assert/strict";
import { BugError, isKind } from "../../provider/core/errors.js";
import type { DiskObservation, Flow, FlowContext, FlowStep, Observation } from "../../provider/reconciler/flow.js";
import { HalfSwitched } from "../../provider/reconciler/half-switched.js";
import type { HeldPlaces } from "../../provider/reconciler/held-places.js";
import { reconcile } from "../../provider/reconciler/loop.js";
import { MoveSlots } from "../../provider/reconciler/move-slots.js";
import { Recorder } from "../storage-migration/recorder.js";

type Step =
  | { step: "done" }
  | { step: "load"; disk: string }
  | { step: "work"; disk: string }
  | { step: "wait"; disks: string[] }
  | { step: "end-switch"; disks: string[] };

const work = (disk: string): Step => ({ step: "work", disk });
const done: Step = { step: "done" };

interface Scene {
  /** What was done, in order. */
  log: string[];
  run: Recorder;
  context: FlowContext;
  places: HeldPlaces;
  /** Chooses these rows, one after the other, and then is done. */
  flow(
    rows: readonly (readonly [Step, ...Step[]])[],
    more?: Partial<Flow<undefined, Observation, Step>>,
  ): Flow<undefined, Observation, Step>;
}

let machines = 0;

function scene(): Scene {
  const log: string[] = [];
  const run = new Recorder();
  const bootId = `machine-${++machines}`;
  const guest = { look: async () => ({ domainId: "d", disks: [], jobs: [], nodes: [] }) };
  const host = { name: "db-1", worker: async () => ({ hello: { bootId } }) };
  // of the rest nothing is asked by the loop itself
  const context = { host, guest, run, options: { stallSeconds: 600, maxBytesPerSecond: 0 } } as unknown as FlowContext;
  const places = { all: [], disks: ["vda", "vdb"], check: async () => void log.push("check"), takeBack: async () => false };
  const disk = (name: string): DiskObservation => ({ disk: name, seen: { phase: "moving" }, active: { named: `/path1/${name}` } });
  const note = (_: undefined, seen: Observation, { step, disk: one, disks }: FlowStep) =>
    Promise.resolve(log.push(`${step} ${one ?? disks} of ${seen.disks.length}`));
  return {
    ...{ log, run, context, places: places as unknown as HeldPlaces },
    flow: (rows, more = {}) => {
      const left = [...rows];
      return {
        tools: undefined,
        deeds: { load: note, work: note, wait: note, "end-switch": note },
        observe: async () => {
          log.push("observe");
          return { disks: [disk("vda"), disk("vdb")] };
        },
        next: () => left.shift() ?? [done],
        loading: new Set(["load"]),
        releasing: new Set(["end-switch"]),
        words: { undoHint: ", or undo it" },
        ...more,
      };
    },
  };
}

describe("the loop of every flow", () => {
  it("observes before each row of steps, and looks at its locks before each step", async () => {
    const { log, context, places, flow } = scene();
    await reconcile(context, places, flow([[work("vda"), work("vdb")], [{ step: "wait", disks: ["vda", "vdb"] }]]));
    assert.deepEqual(log, [
      ...["observe", "check", "work vda of 2", "check", "work vdb of 2"],
      ...["observe", "check", "wait vda,vdb of 2", "observe"],
    ]);
  });

  it("takes no step of a run that is asked to stop, and says where the guest runs", async () => {
    const { log, run, context, places, flow } = scene();
    run.ask();
    await assert.rejects(reconcile(context, places, flow([[work("vda")]])), (thrown) =>
      /Stopped as asked.*vda on \/path1\/vda, vdb on \/path1\/vdb\. Nothing is lost.*it goes on, or undo it\.$/.test(String(thrown)),
    );
    assert.deepEqual(log, ["observe"]);
  });

  it("ends the wait of a guest's I/O also in a run that is asked to stop", async () => {
    const { log, run, context, places, flow } = scene();
    run.ask();
    await reconcile(context, places, flow([[{ step: "end-switch", disks: ["vda"] }]]));
    assert(log.includes("end-switch vda of 2"));
  });

  it("breaks off a row once the run is asked to stop, or the flow says so", async () => {
    const first = scene();
    const stopping = { work: async () => first.run.ask() };
    const row: [Step, ...Step[]] = [work("vda"), work("vdb")];
    const cut = first.flow([row], { deeds: { ...first.flow([]).deeds, ...stopping } });
    await assert.rejects(reconcile(first.context, first.places, { ...cut, next: () => row }), /Stopped as asked/);
    assert.equal(first.log.filter((line) => line === "check").length, 1);
    const second = scene();
    await reconcile(second.context, second.places, second.flow([row], { isRowOver: () => true }));
    assert.deepEqual(second.log, ["observe", "check", "work vda of 2", "observe"]);
  });

  it("lets a loading step wait for a slot of its host, and observes again after it", async () => {
    const { log, run, context, places, flow } = scene();
    const machine = (await context.host.worker()).hello.bootId;
    const other = run.world.one(MoveSlots).slot({ machine, name: "db-1" }, 1);
    await other.take("vdx", run);
    const going = reconcile({ ...context, run: Object.assign(run, { movesPerHost: 1 }) }, places, {
      ...flow([[{ step: "load", disk: "vda" }], [{ step: "load", disk: "vda" }]]),
    });
    for (let turns = 0; turns < 10; turns++) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(log, ["observe"]);
    other.leave();
    await going;
    assert.deepEqual(log, ["observe", "observe", "check", "load vda of 2", "observe"]);
  });

  it("gives its slot back also where a step fails", async () => {
    const { run, context, places, flow } = scene();
    const failing = flow([[{ step: "load", disk: "vda" }]], {
      deeds: { ...flow([]).deeds, load: () => Promise.reject(new BugError("it fails")) },
    });
    await assert.rejects(reconcile({ ...context, run: Object.assign(run, { movesPerHost: 1 }) }, places, failing), /it fails/);
    const next = run.world.one(MoveSlots).slot({ machine: (await context.host.worker()).hello.bootId, name: "db-1" }, 1);
    assert.equal(await next.take("vdb", run), "at once");
    next.leave();
  });

  it("ends a switch that has left a disk behind for all of its disks, and only then tells that", async () => {
    const { log, context, places, flow } = scene();
    const torn = flow([[work("vda")], [{ step: "end-switch", disks: ["vda", "vdb"] }], [work("vdb")]], {
      deeds: { ...flow([]).deeds, work: () => Promise.reject(new HalfSwitched("vdb stayed")) },
    });
    await assert.rejects(reconcile(context, places, torn), (thrown) => isKind(thrown, "user") && thrown.message === "vdb stayed");
    assert.deepEqual(log, ["observe", "check", "observe", "check", "end-switch vda,vdb of 2", "observe"]);
  });

  it("asks the flow before a row and before each of its steps, and leaves out a step that is not to be taken any more", async () => {
    const { log, context, places, flow } = scene();
    const row: [Step, ...Step[]] = [work("vda"), work("vdb")];
    const asked: string[] = [];
    await reconcile(
      context,
      places,
      flow([row], {
        checkRow: async (_, steps) => void asked.push(`row of ${steps.length}`),
        checkStep: async (_, step, place) => {
          asked.push(`${"disk" in step ? step.disk : ""} ${place}`);
          return place === "first" ? "skip" : "take";
        },
      }),
    );
    assert.deepEqual(asked, ["row of 2", "vda first", "vdb later"]);
    assert.deepEqual(
      log.filter((line) => line.startsWith("work")),
      ["work vdb of 2"],
    );
  });

  it("observes again where a disk that was done is taken back", async () => {
    const { log, context, places, flow } = scene();
    let given = 1;
    const again = Object.assign(places, { takeBack: async () => given-- > 0 });
    await reconcile(context, again, flow([[work("vda")], [work("vda")]]));
    assert.deepEqual(log, ["observe", "observe", "check", "work vda of 2", "observe"]);
  });
});

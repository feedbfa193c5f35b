import assert from "node:assert/strict";
import { MoveSlots } from "../../provider/reconciler/move-slots.js";
import { Recorder } from "../storage-migration/recorder.js";
import { HandWorld, settled } from "../world.js";

describe("moves of one host", () => {
  let world: HandWorld;
  let slots: MoveSlots;
  beforeEach(() => {
    world = new HandWorld();
    slots = world.one(MoveSlots);
  });
  const slotAt = (name: string, movesAtOnce: number, machine = name) => slots.slot({ machine, name }, movesAtOnce);
  const run = () => new Recorder("", {}, world);

  it("run side by side as many as are allowed, first come first served", async () => {
    const running = new Set<number>();
    const order: number[] = [];
    let most = 0;
    const move = async (number: number) => {
      const slot = slotAt("db-1", 3);
      await slot.take(`disk ${number}`, run());
      running.add(number);
      order.push(number);
      most = Math.max(most, running.size);
      for (let work = 0; work < 5; work++) await settled();
      running.delete(number);
      slot.leave();
    };
    await Promise.all(Array.from({ length: 20 }, (_, number) => move(number)));
    assert.equal(most, 3);
    assert.deepEqual(
      order,
      Array.from({ length: 20 }, (_, number) => number),
    );
  });

  it("do not wait for those of another host", async () => {
    const [one, other] = [slotAt("db-2", 1), slotAt("db-3", 1)];
    assert.equal(await one.take("vda", run()), "at once");
    assert.equal(await other.take("vda", run()), "at once");
    for (const slot of [one, other]) slot.leave();
  });

  it("wait for those of the same machine, by whatever name it is reached", async () => {
    const first = slotAt("db-7", 1, "machine-7");
    await first.take("vda", run());
    const waiting = slotAt("db-7.example.org:2222", 1, "machine-7").take("vdb", run());
    await settled();
    first.leave();
    assert.equal(await waiting, "waited");
  });

  it("keep their turn until they leave", async () => {
    const slot = slotAt("db-4", 1);
    assert.equal(await slot.take("vda", run()), "at once");
    assert.equal(await slot.take("vda", run()), "at once");
    slot.leave();
  });

  it("tell that they wait, for how long and for what, and then that they have waited", async () => {
    const first = slotAt("db-5", 1);
    await first.take("vda", run());
    const waits = run();
    const waiting = slotAt("db-5", 1).take("vdb", waits);
    await settled();
    await world.pass(2);
    assert.deepEqual(
      waits.lines,
      [0, 1, 2].map((seconds) => `vdb waits for its turn, ${seconds} s: 1 at work on db-5 (livedisk:movesPerHost 1)`),
    );
    first.leave();
    assert.equal(await waiting, "waited");
  });

  it("that are asked to stop while they wait leave the line to others", async () => {
    const first = slotAt("db-6", 1);
    await first.take("vda", run());
    const stopped = run();
    const waiting = slotAt("db-6", 1).take("vdb", stopped);
    const behind = slotAt("db-6", 1).take("vdc", run());
    await settled();
    stopped.ask();
    assert.equal(await waiting, "stopped");
    first.leave();
    assert.equal(await behind, "waited");
  });

  it("of another world, as of another process, stand in another line", async () => {
    const first = slotAt("db-8", 1);
    assert.equal(await first.take("vda", run()), "at once");
    const other = new HandWorld().one(MoveSlots).slot({ machine: "db-8", name: "db-8" }, 1);
    const taken = other.take("vda", run());
    assert.equal(await Promise.race([taken, settled().then(() => "waits")]), "at once");
  });
});

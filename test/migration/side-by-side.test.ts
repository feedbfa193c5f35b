import assert from "node:assert/strict";
import { Place } from "../../provider/reconciler/side-by-side.js";
import { Recorder } from "../storage-migration/recorder.js";

describe("moves of one host", () => {
  const placeAt = (name: string, movesAtOnce: number, machine = name) => new Place({ machine, name }, movesAtOnce);
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  it("run side by side as many as are allowed, first come first served", async () => {
    const running = new Set<number>();
    const order: number[] = [];
    let most = 0;
    const move = async (number: number) => {
      const place = placeAt("db-1", 3);
      await place.take(`disk ${number}`, new Recorder());
      running.add(number);
      order.push(number);
      most = Math.max(most, running.size);
      for (let work = 0; work < 5; work++) await turn();
      running.delete(number);
      place.leave();
    };
    await Promise.all(Array.from({ length: 20 }, (_, number) => move(number)));
    assert.equal(most, 3);
    assert.deepEqual(
      order,
      Array.from({ length: 20 }, (_, number) => number),
    );
  });

  it("do not wait for those of another host", async () => {
    const [one, other] = [placeAt("db-2", 1), placeAt("db-3", 1)];
    assert.equal(await one.take("vda", new Recorder()), "at once");
    assert.equal(await other.take("vda", new Recorder()), "at once");
    for (const place of [one, other]) place.leave();
  });

  it("wait for those of the same machine, by whatever name it is reached", async () => {
    const first = placeAt("db-7", 1, "machine-7");
    await first.take("vda", new Recorder());
    const waiting = placeAt("db-7.example.org:2222", 1, "machine-7").take("vdb", new Recorder());
    await turn();
    first.leave();
    assert.equal(await waiting, "waited");
  });

  it("keep their turn until they leave", async () => {
    const place = placeAt("db-4", 1);
    assert.equal(await place.take("vda", new Recorder()), "at once");
    assert.equal(await place.take("vda", new Recorder()), "at once");
    place.leave();
  });

  it("tell that they wait, for how long and for what, and then that they have waited", async () => {
    const first = placeAt("db-5", 1);
    await first.take("vda", new Recorder());
    const run = new Recorder();
    const waiting = placeAt("db-5", 1).take("vdb", run);
    await turn();
    assert.deepEqual(run.lines, ["vdb waits for its turn, 0 s: 1 at work on db-5 (livedisk:movesPerHost 1)"]);
    first.leave();
    assert.equal(await waiting, "waited");
  });

  it("that are asked to stop while they wait leave the line to others", async () => {
    const first = placeAt("db-6", 1);
    await first.take("vda", new Recorder());
    const stopped = new Recorder();
    const waiting = placeAt("db-6", 1).take("vdb", stopped);
    const behind = placeAt("db-6", 1).take("vdc", new Recorder());
    await turn();
    stopped.ask();
    assert.equal(await waiting, "stopped");
    first.leave();
    assert.equal(await behind, "waited");
  });
});

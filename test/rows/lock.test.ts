/** A run's lock while it works: whatever a second run sees of clocks, processes and files, two are never at work. */

import assert from "node:assert/strict";
import { readdir, rm, utimes } from "node:fs/promises";
import { onAnotherMachine } from "../adversity/night.js";
import { Runner } from "../adversity/runner.js";
import { until } from "../sandbox/command.js";
import { onOwnStage } from "../storage-migration/stage.js";

/** As root, but the host hides the processes of root from it: /proc/PID is not there for whoever may not look into it (hidepid in proc(5), whose group is 0 else). */
const withHiddenProcesses = [
  ...["unshare", "--mount", "--propagation", "private", "sh", "-c"],
  ...['mount -t proc -o hidepid=2,gid=65534 proc /proc && exec setpriv --bounding-set=-sys_ptrace "$@"', "sh"],
] as const;

/** The times of a file as a clock has them that is so far off. @returns how to end it */
function skew(file: string, seconds: number): () => Promise<void> {
  let isOver = false;
  const work = async () => {
    while (!isOver) {
      const then = Date.now() / 1000 - seconds;
      await utimes(file, then, then);
      await new Promise((wake) => setTimeout(wake, 20));
    }
  };
  const works = work();
  works.catch(() => undefined); // awaited at its end
  return () => {
    isOver = true;
    return works;
  };
}

describe("the lock of a run that works", function () {
  this.timeout(180_000);

  const stage = onOwnStage();

  /** One that copies, and its locks. */
  async function begin(maxBytesPerSecond: number): Promise<{ first: Runner; locks: string[] }> {
    const first = new Runner({ ...stage().arguments, maxBytesPerSecond });
    await first.says(/vda copying/);
    const found = await Promise.all(["path1", "path2"].map((side) => filesIn(side)));
    const locks = found.flat().filter((file) => /lm-[0-9a-f]+\.lock$/.test(file));
    assert.equal(locks.length, 2, first.lines.join("\n"));
    return { first, locks };
  }

  const filesIn = async (side: string) => (await readdir(stage().at(side))).map((name) => stage().at(side, name));

  /** A second one, which is ended as soon as it waits. */
  async function waits(before: readonly string[]): Promise<void> {
    const second = new Runner(stage().arguments, before);
    await second.says(/waits for the lock of a run on/);
    assert(!second.isOver, second.lines.join("\n"));
    await second.kill();
  }

  async function holdsAll(): Promise<void> {
    await stage().guest.waitForRecords(5);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "old.qcow2"));
  }

  it("is kept where the host's clock is 61 s ahead of the file's times, or behind, and where its process is hidden from the other run", async () => {
    const { first, locks } = await begin(1_000_000);
    for (const seconds of [61, -61]) {
      const skews = locks.map((lock) => skew(lock, seconds));
      await waits(onAnotherMachine);
      for (const end of skews) await end();
    }
    await waits(withHiddenProcesses);
    const said = first.lines.length;
    const goesOn = () => (first.lines.length > said && !first.isOver ? true : undefined);
    await until(30, goesOn, () => `The first one does not go on: ${first.lines.at(-1)}`);
    await first.kill();
    assert.equal((await stage().moves()).vda?.phase, "settled");
    await holdsAll();
  });

  it("stops it before its next step where somebody has removed the files and another run has come; that one goes on", async () => {
    const { first, locks } = await begin(8_000_000);
    for (const lock of locks) await rm(lock);
    const { vda } = await stage().moves();
    assert.equal(vda?.phase, "settled");
    const ending = await first.ending;
    assert(ending.failed === "yes", first.lines.slice(-3).join("\n"));
    assert.match(ending.message, /somebody removed .*\.lock, the lock of this run, and another run may have begun there/);
    const left = (await Promise.all(["path1", "path2"].map(filesIn))).flat().filter((file) => /\/lm-[^/]*$/.test(file));
    assert.deepEqual(left, []);
    await holdsAll();
  });
});

/** Moves of several guests of one host in one process, as one `up` makes them. */

import assert from "node:assert/strict";
import path from "node:path";
import type { Run } from "../../provider/core/lifecycle.js";
import { closeAllHosts } from "../../provider/host/connection.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { type HerdGuest, startHerd } from "../sandbox/herd.js";
import { createSandbox, type Sandbox } from "../sandbox/sandbox.js";
import { created, type Move, Recorder } from "./stage.js";

class Settings extends Recorder implements Run {
  constructor(readonly movesPerHost: number) {
    super();
  }
}

describe("moves of five guests of one host", function () {
  this.timeout(180_000);

  let sandbox: Sandbox;
  let herd: HerdGuest[];
  beforeEach(async () => {
    sandbox = await createSandbox("side-by-side");
    herd = await startHerd(sandbox, { guests: 5, disksEach: 1 });
  });
  afterEach(async () => {
    await closeAllHosts();
    await sandbox.dispose();
  });

  /** Moves all of them. @returns how many were at work at once, by what their monitors heard, and what the runs were told */
  async function moveAll(movesPerHost: number, storage: string): Promise<{ most: number; lines: string[] }> {
    let [now, most] = [0, 0];
    const runs = herd.map(() => new Settings(movesPerHost));
    const moves = herd.map(async (guest, index) => {
      // the first and the last thing that a move asks of QEMU
      guest.monitor.before("query-qmp-schema", () => {
        most = Math.max(most, ++now);
        return "forward";
      });
      guest.monitor.before("job-finalize", () => {
        now--;
        return "forward";
      });
      const destination = await sandbox.storage(path.join(path.basename(guest.folder), storage));
      const { outputs } = await created(
        storageMigration,
        { host: sandbox.host, domain: { qmp: guest.monitor.path }, disks: ["d0"], destination },
        runs[index],
      );
      assert.equal((outputs.moves as Record<string, Move>).d0?.bootPath, path.join(destination, "disk-0.qcow2"));
    });
    await Promise.all(moves);
    return { most, lines: runs.flatMap(({ lines }) => lines).filter((line) => line.includes("waits for its turn")) };
  }

  for (const movesPerHost of [1, 2])
    it(`are never more than livedisk:movesPerHost at once, here ${movesPerHost}, and those that wait say so`, async () => {
      const { most, lines } = await moveAll(movesPerHost, `at-most-${movesPerHost}`);
      assert(most <= movesPerHost, `${most} at once`);
      assert(lines.some((line) => line.endsWith(`(livedisk:movesPerHost ${movesPerHost})`)));
    });

  it("do not wait for each other where as many are allowed", async () => {
    const { lines } = await moveAll(5, "all");
    assert.deepEqual(lines, []);
  });
});

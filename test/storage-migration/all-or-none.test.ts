/** Several disks in one operation: if the job of one fails in the switch, none has switched, and the next run moves all. */

import assert from "node:assert/strict";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { oneLayer } from "../sandbox/disks.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { onOwnStage, type Stage } from "./stage.js";

describe("two disks that move in one operation", function () {
  this.timeout(180_000);
  const disks = ["vda", "vdb"];
  let proxy: QmpProxy;
  const prepare = async (begun: Stage) => {
    proxy = await QmpProxy.listen(begun.at("proxy.sock"), begun.guest.qmpSocket);
    begun.sandbox.defer(() => proxy.close());
  };
  const images = (at: Stage["at"]) => [{ storage: at("path1") }, { storage: at("path1"), id: "vdb", layers: oneLayer("data.qcow2") }];
  const stage = onOwnStage({ disks: images }, prepare);
  const moves = (different = {}) => stage().moves({ disks, domain: { qmp: proxy.path }, ...different });
  const active = () => Promise.all(disks.map((disk) => stage().operator.activeImage(disk)));

  /** Right before the second disk's job would be completed; the first one's is on its way. */
  function beforeSecondComplete(act: (jobId: string) => Promise<void>): void {
    proxy.before("job-complete", () => {
      proxy.before("job-complete", async () => {
        const jobs = (await stage().operator.execute("query-block-jobs")) as { device: string; status: string }[];
        // the other one has left `ready` by then: what is asked first is done first
        const second = jobs.find(({ status }) => status === "ready");
        assert(second, JSON.stringify(jobs));
        await act(second.device);
        return "forward" as const;
      });
      return "forward";
    });
  }

  /** A move whose second disk fails: refused with these words, and the guest writes on where it was. */
  async function fails(words: RegExp, different = {}): Promise<void> {
    const failed: unknown = await moves(different).catch((reason: unknown) => reason);
    assert(failed instanceof Unfinished, String(failed));
    assert.match(failed.message, words);
    await stage().guest.waitForRecords(10);
  }

  /** The second disk's job, whose move then fails. */
  function cancelSecond(): void {
    beforeSecondComplete(async (device) => {
      await stage().operator.execute("block-job-cancel", { device, force: true });
      await stage()
        .operator.waitForJob(device, "concluded")
        .catch(() => undefined); // it says that it was cancelled, as an error
    });
  }

  async function holdAll(): Promise<void> {
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "old.qcow2"), "vda");
    await stage().holdsAll(stage().at("path2", "data.qcow2"), "vdb");
  }

  it("both stay at the source when the job of one ends by itself in the switch", async () => {
    const before = await active();
    cancelSecond();
    await fails(/complete/);
    assert.deepEqual(await active(), before);
  });

  it("both stay at the source when the job of one does not come to its end in switchSeconds", async () => {
    const before = await active();
    beforeSecondComplete(async (id) => {
      await stage().operator.execute("job-pause", { id });
    });
    await fails(/not all jobs were pending within 3 s: lm-\w+-mirror is (paused|standby).*The guest goes on writing to .*current/, {
      switchSeconds: 3,
    });
    assert.deepEqual(await active(), before);
  });

  it("both are moved by the next run", async () => {
    cancelSecond();
    await fails(/complete/);
    const moved = await moves();
    assert.deepEqual(
      Object.values(moved).map(({ phase, bootPath }) => [phase, bootPath]),
      [
        ["settled", stage().at("path2", "old.qcow2")],
        ["settled", stage().at("path2", "data.qcow2")],
      ],
    );
    await holdAll();
  });

  it("by an overlay both stay on the overlays at the source when the job of one ends by itself, and are moved by the next run", async () => {
    const byOverlay = { strategy: "snapshot", restartDuringMove: "from-manifest" };
    cancelSecond();
    await fails(/current/, byOverlay);
    for (const image of await active()) assert.match(image, /path1\/lm-[0-9a-f]{8}\.overlay\.qcow2$/);
    const moved = await moves(byOverlay);
    assert.deepEqual(
      Object.values(moved).map(({ phase }) => phase),
      ["settled", "settled"],
    );
    await holdAll();
  });
});

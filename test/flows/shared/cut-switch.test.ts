/** On which of its two images a disk ends whose switch was cut: by what decides, by the guest that runs, and by which image was written to since. */

import assert from "node:assert/strict";
import type { FileIdentity } from "../../../provider/core/disk/chain.js";
import type { JobStatus } from "../../../provider/core/disk/job.js";
import { endWithoutGuest, type FoundCut, phaseOfCut } from "../../../provider/flows/shared/cut-switch.js";
import { isWrittenSince, type SwitchSide } from "../../../provider/journal/decided-by.js";
import { aJob } from "../move/scene.js";

const recorded: FileIdentity = { dev: "1", ino: "2", sizeBytes: 3, modified: "100.000000005" };
const written: FileIdentity = { ...recorded, modified: "100.000000006" };
const image = (path: string, found: FileIdentity | undefined = recorded) => ({ path, found, recorded });
const sides = ["before", "after"] as const satisfies SwitchSide[];

function found(more: Partial<FoundCut> = {}): FoundCut {
  return {
    ...{ running: "before", named: "/a/disk", decided: "before", job: undefined, qemu: "another" },
    ...{ before: image("/a/disk"), after: image("/b/disk"), ...more },
  };
}

const jobIn = (status: JobStatus) => ({ ...aJob, status });

describe("a switch that was cut", () => {
  for (const decided of sides) {
    it(`ends ${decided} its decision while its jobs wait, whatever was written`, () => {
      const cut = found({
        decided,
        job: jobIn("pending"),
        qemu: "same",
        before: image("/a/disk", written),
        after: image("/b/disk", written),
      });
      assert.deepEqual(phaseOfCut(cut), { phase: "switch-cut", ends: decided, jobs: "pending" });
    });

    for (const running of sides) {
      it(`decided ${decided}, ends ${running} where the QEMU of the switch runs, whatever it has written`, () => {
        const cut = found({ decided, running, qemu: "same", before: image("/a/disk", written), after: image("/b/disk", written) });
        assert.deepEqual(phaseOfCut(cut), { phase: "switch-cut", ends: running, jobs: "over" });
      });

      it(`decided ${decided}, ends ${running} where another QEMU runs, as long as the other image is as it was`, () => {
        const own = { before: image("/a/disk"), after: image("/b/disk"), [running]: image("/own", written) };
        assert.deepEqual(phaseOfCut(found({ decided, running, ...own })), { phase: "switch-cut", ends: running, jobs: "over" });
      });

      it(`decided ${decided}, is a contradiction where another QEMU runs ${running} it and the other image was written to, or is gone`, () => {
        const other = running === "before" ? "after" : "before";
        for (const [is, why] of [
          [written, /\/other was written to since: each may hold/],
          [undefined, /\/other is not there any more: each may hold/],
        ] as const) {
          const seen = phaseOfCut(found({ decided, running, [other]: { path: "/other", found: is, recorded } }));
          assert.match(seen.phase === "contradiction" ? seen.why : seen.phase, why);
        }
      });
    }

    it(`decided ${decided}, of a guest that does not run ends there where neither image was written to, else in the one that was`, () => {
      assert.equal(endWithoutGuest(found({ decided })), decided);
      assert.equal(endWithoutGuest(found({ decided, before: image("/a/disk", written) })), "before");
      assert.equal(endWithoutGuest(found({ decided, after: image("/b/disk", written) })), "after");
      const both = endWithoutGuest(found({ decided, before: image("/a/disk", written), after: image("/b/disk", written) }));
      assert.deepEqual(both, { why: "both /a/disk and /b/disk were written to since" });
      assert.deepEqual(endWithoutGuest(found({ after: { ...image("/b/disk"), found: undefined } })), {
        why: "/b/disk is not there any more",
      });
    });
  }

  it("says that both images were written to, where both were", () => {
    const seen = phaseOfCut(found({ before: image("/a/disk", written), after: image("/b/disk", written) }));
    assert.match(seen.phase === "contradiction" ? seen.why : "", /and both were written to since: each may hold/);
  });

  it("is a contradiction where the guest runs on neither of the two, which names the one to start it from", () => {
    const seen = phaseOfCut(found({ running: undefined, named: "/c/other", decided: "after" }));
    assert.match(seen.phase === "contradiction" ? seen.why : "", /runs on \/c\/other, which is neither.*start it from \/b\/disk$/);
  });

  for (const status of ["waiting", "aborting", "null"] as const)
    it(`waits for a job that is ${status}`, () => {
      const job = jobIn(status);
      assert.deepEqual(phaseOfCut(found({ job })), { phase: "turning", job });
    });
});

describe("an image since all jobs were pending", () => {
  for (const [what, now, is] of [
    ["is written to by a later time", written, true],
    ["is written to by another size at the same time", { ...recorded, sizeBytes: 4 }, true],
    ["is written to where it is another file", { ...recorded, ino: "3" }, true],
    ["is as it was", recorded, false],
    ["is as it was on another device number, as after a reboot", { ...recorded, dev: "9" }, false],
    [
      "is not written to by an older time: a power cut takes back what was not synced",
      { ...recorded, modified: "99.9", sizeBytes: 4 },
      false,
    ],
    ["is compared by numbers", { ...recorded, modified: "1000.0" }, true],
  ] as const)
    it(what, () => assert.equal(isWrittenSince(now, recorded), is));
});

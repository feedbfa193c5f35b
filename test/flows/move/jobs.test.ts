/** What one run does about the jobs of its disks: nothing twice, and a failure is told from what was called off. */

import assert from "node:assert/strict";
import type { Job } from "../../../provider/core/disk/job.js";
import { isKind, UnreachableError, UserError } from "../../../provider/core/errors.js";
import { begins, type MoveJobs, moveJobs } from "../../../provider/flows/move/jobs.js";
import { deeds, type MoveTools } from "../../../provider/flows/move/take.js";
import type { Phase } from "../../../provider/flows/shared/phase.js";
import type { SeenDisk } from "../../../provider/flows/shared/site.js";
import { libvirtTraits } from "../../../provider/hypervisor/libvirt/guest.js";
import { writeRecords } from "../../../provider/journal/records.js";
import { type Answers, emptyView } from "./noting-guest.js";
import { aJob, key, MoveScene } from "./scene.js";

interface Tended extends AsyncDisposable {
  scene: MoveScene;
  jobs: MoveJobs;
  begins: (step: "start-mirror" | "collapse" | "fold", disk: SeenDisk) => void;
  asked: string[];
  disk: (seen: Phase, more?: Partial<SeenDisk>) => SeenDisk;
}

async function tended(answers: Answers = {}, options: Record<string, unknown> = {}): Promise<Tended> {
  const scene = await MoveScene.open();
  await scene.write("path2/disk.qcow2");
  const manifest = await scene.manifest();
  const { site, asked } = scene.site(answers, options);
  const jobs = moveJobs(site);
  return {
    ...{ scene, jobs, asked },
    begins: (step, disk) => begins({ site, jobs }, step, disk),
    disk: (seen, more = {}) => scene.disk({ seen, manifest, ...more }),
    [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose](),
  };
}

const stalled = (more: Partial<Job> = {}): Phase => ({ phase: "stalled", job: { ...aJob, status: "paused", ioStatus: "failed", ...more } });
const isUser = (words: RegExp) => (thrown: unknown) => isKind(thrown, "user") && words.test(thrown.message);

describe("waiting for jobs", () => {
  it("gives a job that an earlier run began the wanted speed, once, and waits for a word of the guest", async () => {
    await using t = await tended({}, { maxBytesPerSecond: 5 });
    const disk = t.disk({ phase: "mirroring", job: aJob });
    await t.jobs.wait([disk]);
    await t.jobs.wait([disk]);
    assert.deepEqual(t.asked, [`setSpeed "${aJob.id}" 5`, "wakeUp 0.5", "wakeUp 0.5"]);
    assert.match(t.scene.told.join("\n"), /^vda mirroring 0 %/);
  });

  for (const phase of ["collapsing", "folding"] as const)
    it(`gives a job that is ${phase} the wanted speed`, async () => {
      await using t = await tended();
      await t.jobs.wait([t.disk({ phase, job: aJob })]);
      assert.deepEqual(t.asked, [`setSpeed "${aJob.id}" 0`, "wakeUp 0.5"]);
    });

  it("gives no speed to a job that this run has begun, nor to one that does not run", async () => {
    await using t = await tended();
    t.begins("start-mirror", t.disk({ phase: "copied" }));
    await t.jobs.wait([
      t.disk({ phase: "mirroring", job: aJob }),
      t.disk({ phase: "turning", job: aJob }, { disk: "vdb" }),
      t.disk({ phase: "suspended" }, { disk: "vdc" }),
    ]);
    assert.deepEqual(t.asked, ["wakeUp 0.5"]);
    assert.equal(t.scene.told.length, 2);
  });

  it("bears a refusal of the speed, since the job may have ended meanwhile, and no other error", async () => {
    await using refused = await tended({ setSpeed: () => Promise.reject(new UserError("no such job")) });
    await refused.jobs.wait([refused.disk({ phase: "mirroring", job: aJob })]);
    await using cut = await tended({ setSpeed: () => Promise.reject(new UnreachableError("gone")) });
    await assert.rejects(cut.jobs.wait([cut.disk({ phase: "mirroring", job: aJob })]), (thrown) => isKind(thrown, "unreachable"));
  });
});

describe("a job that an error has stopped", () => {
  it("goes on once, and a second time is told", async () => {
    await using t = await tended();
    t.begins("start-mirror", t.disk({ phase: "copied" }));
    await t.jobs.resumeOnce(t.disk(stalled()));
    assert.deepEqual(t.asked, [`resume "${aJob.id}"`, "wakeUp 0.5"]);
    await assert.rejects(
      t.jobs.resumeOnce(t.disk(stalled())),
      isUser(/the mirror job's storage .*path2 answers with I\/O errors\. The job waits/),
    );
    await assert.rejects(t.jobs.resumeOnce(t.disk(stalled({ ioStatus: "nospace" }))), isUser(/path2 is full: /));
    assert.deepEqual(t.asked, [`resume "${aJob.id}"`, "wakeUp 0.5"]);
  });

  it("that an earlier run left waiting is cancelled once when it cannot go on, so that the mirror starts again", async () => {
    await using t = await tended();
    await t.jobs.resumeOnce(t.disk(stalled()));
    await t.jobs.resumeOnce(t.disk(stalled()));
    assert.deepEqual(t.asked, [`resume "${aJob.id}"`, "wakeUp 0.5", `cancel "${aJob.id}"`, "wakeUp 0.1"]);
    t.begins("start-mirror", t.disk({ phase: "copied" }));
    await assert.rejects(t.jobs.resumeOnce(t.disk(stalled())), isUser(/answers with I\/O errors/));
  });

  it("that is no mirror is never cancelled, though an earlier run left it", async () => {
    await using t = await tended();
    await t.jobs.resumeOnce(t.disk(stalled({ type: "commit" })));
    await assert.rejects(t.jobs.resumeOnce(t.disk(stalled({ type: "commit" }))), isUser(/I\/O errors/));
    assert.deepEqual(t.asked, [`resume "${aJob.id}"`, "wakeUp 0.5"]);
  });

  it("goes on for each disk by itself", async () => {
    await using t = await tended();
    for (const name of ["vda", "vdb"]) await t.jobs.resumeOnce(t.disk(stalled(), { disk: name }));
    assert.equal(t.asked.filter((line) => line.startsWith("resume")).length, 2);
  });

  it("does not go on as long as there is no room for what is missing, and says how much that is", async () => {
    await using t = await tended();
    const huge = { ioStatus: "nospace", totalProgress: 2 ** 60, currentProgress: 2 ** 59 } as const;
    await assert.rejects(
      t.jobs.resumeOnce(t.disk(stalled(huge))),
      isUser(/path2 is full: 512 PiB are still to be written, .* are free: free at least/),
    );
    assert.deepEqual(t.asked, []);
    await t.jobs.resumeOnce(t.disk(stalled({ ...huge, ioStatus: "failed" })));
    assert.deepEqual(t.asked, [`resume "${aJob.id}"`, "wakeUp 0.5"]);
  });

  for (const type of ["stream", "commit"])
    it(`goes on without a forecast where it is a ${type}, whose progress is of the whole disk`, async () => {
      await using t = await tended();
      const full = { type, ioStatus: "nospace", totalProgress: 2 ** 60, currentProgress: 0 } as const;
      await t.jobs.resumeOnce(t.disk(stalled(full)));
      assert.deepEqual(t.asked, [`resume "${aJob.id}"`, "wakeUp 0.5"]);
    });

  it("is left alone once it runs again", async () => {
    await using t = await tended();
    await t.jobs.resumeOnce(t.disk({ phase: "mirroring", job: aJob }));
    assert.deepEqual(t.asked, []);
  });
});

describe("cancelling jobs", () => {
  it("sets back what is written down of a switch before it cancels, and only of a job that is pending", async () => {
    await using t = await tended();
    const { scene } = t;
    const manifest = { ...(await scene.manifest()), current: scene.at("path2/disk.qcow2") };
    await writeRecords(scene.host, key, manifest);
    const left: string[] = [];
    const { site } = scene.site({
      cancel: async () => void left.push((await import("node:fs")).readFileSync(scene.at(`path1/lm-${key}.manifest.json`), "utf8")),
    });
    const tools = { site, jobs: moveJobs(site) } as MoveTools; // the rest is not read here
    const cancel = (disk: SeenDisk) => deeds.cancel(tools, { view: emptyView, disks: [disk] }, { step: "cancel", disks: [disk.disk] });
    await cancel(scene.disk({ manifest, seen: { phase: "ready", job: aJob } }));
    await cancel(scene.disk({ manifest, seen: { phase: "pending", job: aJob, current: "source" } }));
    assert.deepEqual(
      left.map((text) => JSON.parse(text).current),
      [scene.at("path2/disk.qcow2"), scene.at("path1/disk.qcow2")],
    );
  });

  it("asks for every disk's, then waits for a word", async () => {
    await using t = await tended();
    const other = { ...aJob, id: "lm-ffffffff-mirror" };
    await t.jobs.cancel([t.disk({ phase: "mirroring", job: aJob }), t.disk({ phase: "ready", job: other }, { disk: "vdb" })]);
    assert.deepEqual(t.asked, [`cancel "${aJob.id}"`, `cancel "${other.id}"`, "wakeUp 0.1"]);
  });
});

describe("an ended job", () => {
  const ended: Phase = { phase: "ended", job: { ...aJob, status: "concluded", error: "Input/output error" } };

  it("that this run has begun is dismissed, and its error told", async () => {
    await using t = await tended();
    t.begins("start-mirror", t.disk({ phase: "copied" }));
    await assert.rejects(
      t.jobs.dismiss(t.disk(ended)),
      isUser(/the mirror job ended with: Input\/output error\. The guest runs on .*path1\/disk\.qcow2/),
    );
    assert.deepEqual(t.asked, [`dismiss "${aJob.id}"`]);
  });

  it("that this run has seen at work is dismissed, and its error told", async () => {
    await using t = await tended();
    await t.jobs.wait([t.disk({ phase: "mirroring", job: aJob })]);
    await assert.rejects(t.jobs.dismiss(t.disk(ended)), isUser(/ended with: Input\/output error/));
  });

  it("that ended without an error is dismissed", async () => {
    await using t = await tended();
    t.begins("start-mirror", t.disk({ phase: "copied" }));
    await t.jobs.dismiss(t.disk({ phase: "ended", job: { ...aJob, status: "concluded" } }));
    assert.deepEqual(t.asked, [`dismiss "${aJob.id}"`]);
  });

  it("that this run has called off, or an earlier one, is dismissed without a word", async () => {
    await using t = await tended();
    await t.jobs.dismiss(t.disk(ended));
    t.begins("start-mirror", t.disk({ phase: "copied" }));
    await t.jobs.cancel([t.disk({ phase: "mirroring", job: aJob })]);
    await t.jobs.dismiss(t.disk(ended));
    assert.equal(t.asked.filter((line) => line.startsWith("dismiss")).length, 2);
  });

  it("is dismissed only where it has ended", async () => {
    await using t = await tended();
    await t.jobs.dismiss(t.disk({ phase: "mirroring", job: aJob }));
    assert.deepEqual(t.asked, []);
  });
});

describe("a job that is about to begin a second time in one run", () => {
  it("is refused where it was a copy of libvirt's, which leaves no trace", async () => {
    await using t = await tended({ traits: libvirtTraits });
    const disk = t.disk({ phase: "copied" });
    t.begins("start-mirror", disk);
    assert.throws(() => t.begins("start-mirror", disk), isUser(/the copy onto .*path2\/disk\.qcow2 ended by itself/));
    await t.jobs.cancel([disk]);
    t.begins("start-mirror", disk);
  });

  it("is begun where it is another job on the same disk: libvirt's pull after its copy, and the pull of the next move", async () => {
    await using t = await tended({ traits: libvirtTraits });
    const manifest = await t.scene.frozen("pull");
    const disk = t.disk({ phase: "pivoted" }, { manifest });
    t.begins("start-mirror", disk);
    t.begins("collapse", disk);
    t.begins("collapse", t.disk({ phase: "pivoted" }, { manifest: { ...manifest, startedAt: "2026-12-01T00:00:00.000Z" } }));
    assert.throws(() => t.begins("collapse", disk), isUser(/the pull ended without doing so/));
  });

  it("is begun where it was a mirror of QEMU's, or a fold", async () => {
    await using t = await tended();
    const disk = t.disk({ phase: "copied" });
    for (const step of ["start-mirror", "start-mirror", "fold", "fold"] as const) t.begins(step, disk);
  });

  it("is refused where it was a pull, and begun where it was a commit", async () => {
    await using t = await tended();
    for (const [collapse, refused] of [
      ["pull", true],
      ["commit", false],
      ["none", false],
    ] as const) {
      const disk = t.disk({ phase: "pivoted" }, { disk: collapse, manifest: await t.scene.frozen(collapse) });
      t.begins("collapse", disk);
      if (refused) assert.throws(() => t.begins("collapse", disk), isUser(/the pull ended without doing so/));
      else t.begins("collapse", disk);
    }
  });
});

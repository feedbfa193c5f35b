/** Before each step that builds on the chain, and right before a switch: the live chain is the one that was written down, or nothing is begun. */

import assert from "node:assert/strict";
import { UserError } from "../../../../provider/core/errors.js";
import { ChainCheck } from "../../../../provider/flows/move/chain-check.js";
import type { Goal, Step } from "../../../../provider/flows/move/plan.js";
import { SourceSpace } from "../../../../provider/flows/move/steps/source-space.js";
import type { Phase } from "../../../../provider/flows/shared/phase.js";
import type { SeenDisk } from "../../../../provider/flows/shared/site.js";
import type { GuestView } from "../../../../provider/hypervisor/hypervisor.js";
import { afterUnplugging } from "../../../../provider/reconciler/unplugged.js";
import { HandWorld } from "../../../world.js";
import { type Answers, emptyView, notingLibvirt } from "../noting-guest.js";
import { aJob, key, MoveScene, overlayName } from "../scene.js";

type Chain = readonly (readonly [string, string])[];
const mirrorChain: Chain = [
  ["path1/disk.qcow2", "qcow2"],
  ["path1/base.raw", "raw"],
];
const theirs: Chain = [["path1/theirs", "qcow2"], ...mirrorChain];
const overlayChain: Chain = [[`path1/${overlayName}`, "qcow2"], ...mirrorChain];

interface Asked {
  step: Step;
  /** As the look has shown it. */
  seen: Chain;
  /** As the guest is when it is looked at once more. */
  now?: Chain;
  standing?: SeenDisk["standing"];
  phase?: Phase;
  goal?: Goal;
  answers?: Answers;
}

async function chainBefore({ step, seen, now = seen, standing = "former", phase = { phase: "copied" }, goal = "arrive", answers }: Asked) {
  const scene = await MoveScene.open();
  try {
    await scene.write("path1/theirs");
    const manifest = standing === "former" ? await scene.manifest() : await scene.frozen("commit");
    const view = (chain: Chain): GuestView => ({
      ...emptyView,
      disks: [{ qdev: "vda", names: ["vda"], medium: { kind: "image", ...scene.image(chain) } }],
    });
    const { site, asked } = scene.site({ look: () => view(now), ...answers });
    const disk = scene.written(manifest, { image: scene.image(seen), standing, seen: phase });
    const check = new ChainCheck(site, scene.outcome);
    const answer = await check.before(step, { view: view(seen), disks: [disk] }, goal).catch((thrown: unknown) => thrown);
    return { answer, said: answer instanceof Error ? answer.message : "", asked, isLookedAt: asked.includes("look") };
  } finally {
    await scene[Symbol.asyncDispose]();
  }
}

const one = (step: string): Step => ({ step, disk: "vda", ...(step === "copy" && { layer: {} }) }) as Step;
const many = (step: string): Step => ({ step, disks: ["vda"] }) as Step;

describe("the chain before a step", () => {
  for (const [step, look] of [
    [many("freeze"), "anew"],
    [one("record-frozen"), "seen"],
    [one("copy"), "seen"],
    [one("start-mirror"), "anew"],
    [one("collapse"), "anew"],
    [one("fold"), "anew"],
    [many("pivot"), "anew"],
    [many("switch-collapsed"), "anew"],
    [many("switch-folded"), "anew"],
  ] as const) {
    it(`is asked of ${look === "anew" ? "the guest once more" : "the look"} before ${step.step}`, async () => {
      const { answer, isLookedAt } = await chainBefore({ step, seen: mirrorChain });
      assert.deepEqual([answer, isLookedAt], ["right", look === "anew"]);
    });

    it(`is refused before ${step.step} with somebody's overlay on top`, async () => {
      const { said } = await chainBefore({ step, seen: theirs });
      assert.match(said, /somebody has put .*path1\/theirs on top of .*path1\/disk\.qcow2/);
      assert.match(said, /The guest runs on .*path1\/theirs, which is current, whatever its manifest says/);
    });

    it(`counts as it is ${look === "anew" ? "when the guest is asked" : "in the look"} before ${step.step}`, async () => {
      const { answer } = await chainBefore({ step, seen: mirrorChain, now: theirs });
      assert.equal(answer === "right", look === "seen");
    });
  }

  for (const step of [
    many("wait"),
    many("let-go"),
    many("cancel"),
    one("dismiss"),
    one("set-back"),
    one("tidy"),
    one("clear"),
    many("begin"),
    one("continue"),
  ])
    it(`is not asked before ${step.step}`, async () => {
      const { answer, asked } = await chainBefore({ step, seen: theirs });
      assert.deepEqual([answer, asked], ["right", []]);
    });

  for (const [step, below] of [
    [one("fold"), "right"],
    [many("switch-folded"), "right"],
    [one("collapse"), "refused"],
    [many("pivot"), "refused"],
  ] as const)
    it(`is ${below} before ${step.step} where only what is below the two upper layers is another one`, async () => {
      const { answer } = await chainBefore({ step, seen: [...overlayChain.slice(0, 2), ["path1/theirs", "raw"]], standing: "overlay" });
      assert.equal(answer === "right" ? "right" : "refused", below);
    });

  it("is refused before a fold where one of the two upper layers is another one", async () => {
    const { said } = await chainBefore({ step: one("fold"), seen: [["path1/theirs", "qcow2"], ...mirrorChain], standing: "overlay" });
    assert.match(
      said,
      /its chain is .*path1\/theirs \(qcow2\).*, and this move expects the files .*overlay\.qcow2 \(qcow2\).*Bring that chain back/,
    );
  });

  it("calls the job off before a switch, and no job before a step that begins one", async () => {
    const phase: Phase = { phase: "ready", job: aJob };
    const switched = await chainBefore({ step: many("pivot"), seen: theirs, phase });
    assert.match(switched.said, /^Unable to switch vda .* Nothing was switched, and the job was called off\./);
    assert.deepEqual(switched.asked.slice(-1), [`cancel "${aJob.id}"`]);
    const begun = await chainBefore({ step: one("start-mirror"), seen: theirs, phase });
    assert.match(begun.said, /^Unable to go on with the move of vda .* Nothing was started\./);
    assert(!begun.asked.some((line) => line.startsWith("cancel")));
  });
});

describe("a freeze that has come together with somebody's snapshot", () => {
  const both: Chain = [[`path1/${overlayName}`, "qcow2"], ["path1/theirs", "qcow2"], ...mirrorChain];

  async function undone({
    chain = both,
    goal = "arrive" as Goal,
    copied = false,
    managed = true,
    standing = "overlay" as SeenDisk["standing"],
  } = {}) {
    const scene = await MoveScene.open();
    try {
      await scene.write("path1/theirs");
      const whole = await scene.frozen("commit");
      const manifest = copied ? whole : { ...whole, layers: whole.layers.slice(1) };
      const job = { ...aJob, id: `lm-${key}-commit`, status: "ready", target: scene.at("path1/theirs") };
      const medium = { kind: "image" as const, ...scene.image(chain), definedAt: scene.at(`path1/${overlayName}`) };
      const view = { ...emptyView, disks: [{ qdev: "vda", names: ["vda"], medium }], jobs: [job] } as unknown as GuestView;
      const answers = { look: () => view };
      const { site, asked } = managed ? scene.site({}, {}, notingLibvirt(answers)) : scene.site(answers);
      // the switch itself is the host's: here there is none
      const host = Object.create(scene.host, { open: { value: () => Promise.reject(new UserError("no switch")) } });
      const check = new ChainCheck({ ...site, host }, scene.outcome);
      const disk = scene.written(manifest, { image: medium, standing, seen: { phase: "frozen" } });
      const answer = await check.before(one("record-frozen"), { view, disks: [disk] }, goal).catch((thrown: unknown) => thrown);
      const changes = asked.filter((line) => /^(redefine|commit|startCommit)/.test(line));
      return { said: answer instanceof Error ? answer.message : String(answer), asked: changes };
    } finally {
      await scene[Symbol.asyncDispose]();
    }
  }

  it("is taken for one only of a guest that libvirt manages, on the overlay, before a layer is recorded", async () => {
    for (const case_ of [
      { managed: false },
      { copied: true },
      { standing: "target" as const },
      { chain: [["path1/theirs", "qcow2"], ...mirrorChain] as Chain },
    ]) {
      const { said, asked } = await undone(case_);
      assert.match(said, /Nothing was started\./);
      assert.deepEqual(asked, []);
    }
  });

  it("names the whole live chain in the definition first, and commits only where no commit runs", async () => {
    const { asked } = await undone();
    assert.match(asked[0] ?? "", /^redefine "vda" .*overlay\.qcow2".*"below":\[.*theirs.*disk\.qcow2.*base\.raw/);
    assert.equal(asked.length, 1);
  });
});

describe("the room at the source", () => {
  const seen = (disk: SeenDisk) => ({ view: emptyView, disks: [disk] });

  it("is asked only of a disk that stands on its overlay", async () => {
    await using scene = await MoveScene.open();
    const { site } = scene.site();
    const { commands } = scene.host.opened;
    const space = new SourceSpace(site);
    await space.look(seen(scene.disk({ manifest: await scene.frozen("commit") })));
    await space.look(seen(scene.disk({ standing: "overlay", manifest: await scene.manifest() })));
    assert.equal(scene.host.opened.commands - commands <= 8, true);
    assert.deepEqual([space.reason, space.low.aborted], [undefined, false]);
  });

  for (const [free, reason] of [
    [128 * 1024 * 1024, undefined],
    [128 * 1024 * 1024 - 4096, /path1 has only 128 MiB left/],
  ] as const)
    it(`is ${reason ? "too little: the move is undone" : "enough"} with ${free} bytes`, async () => {
      await using scene = await MoveScene.open();
      const manifest = await scene.frozen("commit");
      const { site } = scene.site();
      const host = { ...site.host, name: "here", worker: async () => ({ request: async () => ({ freeBytes: free }) }) };
      const space = new SourceSpace({ ...site, host: host as unknown as typeof site.host });
      await space.look(seen(scene.disk({ standing: "overlay", manifest })));
      assert.equal(space.low.aborted, reason !== undefined);
      assert.match(space.reason?.message ?? "", reason ?? /^$/);
    });

  it("is looked at each 2 s while a copy goes on, and no longer", async () => {
    await using scene = await MoveScene.open();
    const world = new HandWorld();
    const { site } = scene.site();
    let looks = 0;
    const request = async () => ({ freeBytes: ++looks < 3 ? 2 ** 30 : 0 });
    const host = { ...site.host, name: "here", worker: async () => ({ request }) };
    const space = new SourceSpace({ ...site, host: host as unknown as typeof site.host, run: { ...site.run, world } });
    const work = Promise.withResolvers<string>();
    const disk = scene.disk({ standing: "overlay", manifest: await scene.frozen("commit") });
    const copying = space.during(seen(disk), () => work.promise);
    await world.pass(5);
    assert.deepEqual([looks, space.low.aborted], [2, false]);
    await world.pass(1);
    assert.deepEqual([looks, space.low.aborted], [3, true]);
    work.resolve("copied");
    assert.equal(await copying, "copied");
    assert.equal(world.waiting, 0);
  });
});

describe("a disk that was taken from the guest in the middle of its move", () => {
  const places = [{ disk: "vda", key, directories: [] }];
  const reason = new UserError("It has no disk vda.");

  async function taken({ jobs = [{ ...aJob }], plugged = false, thrown = reason as unknown } = {}) {
    const scene = await MoveScene.open();
    const views = [jobs, [{ ...aJob, status: "aborting" }], [{ ...aJob, status: "concluded" }]];
    const disks = plugged ? [{ qdev: "vda", names: ["vda"], medium: { kind: "none" } }] : [];
    const look = () => ({ ...emptyView, disks, jobs: views.length > 1 ? views.shift() : views[0] });
    const { site, asked } = scene.site({ look });
    const told = await afterUnplugging(site, places, thrown);
    await scene[Symbol.asyncDispose]();
    return { told: told instanceof Error ? told.message : String(told), asked: asked.filter((line) => line !== "look") };
  }

  it("leaves a job to the next run that does not end in 30 s", async () => {
    await using scene = await MoveScene.open();
    const world = new HandWorld();
    scene.host.world = world;
    const look = () => ({ ...emptyView, disks: [], jobs: [{ ...aJob, status: "running" }] });
    const { site, asked } = scene.site({ look, wakeUp: (seconds: number) => world.pass(seconds) });
    await afterUnplugging(site, places, reason);
    assert(Math.abs(world.clock() - 30) < 0.2, `${world.clock()}`);
    assert.equal(asked.filter((line) => line.startsWith("dismiss")).length, 0);
  });

  it("loses its job, which is dismissed once it has ended", async () => {
    const { told, asked } = await taken();
    assert.equal(
      told,
      "It has no disk vda. vda was taken from the guest in the middle, and its job was cancelled. Give it back to the guest.",
    );
    assert.deepEqual(asked, [`cancel "${aJob.id}"`, "wakeUp 0.1", "wakeUp 0.1", `dismiss "${aJob.id}"`]);
  });

  for (const status of ["ready", "paused", "standby"] as const)
    it(`loses its job that is ${status}`, async () => assert.match((await taken({ jobs: [{ ...aJob, status }] })).told, /was cancelled/));

  for (const status of ["pending", "waiting", "concluded", "created"] as const)
    it(`keeps its job that is ${status}: a switch may have begun`, async () => {
      const { told, asked } = await taken({ jobs: [{ ...aJob, status }] });
      assert.deepEqual([told, asked], [reason.message, []]);
    });

  it("is not looked for after other errors than refusals, while it is plugged, or without a job of ours", async () => {
    for (const given of [{ thrown: new Error("cut") }, { plugged: true }, { jobs: [] }, { jobs: [{ ...aJob, id: "backup0" }] }])
      assert.deepEqual((await taken(given)).asked, [], JSON.stringify(given));
  });
});

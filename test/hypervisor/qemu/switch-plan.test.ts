/** What a switch is made of, in which order, and which of its moves decides. */

import assert from "node:assert/strict";
import { isKind } from "../../../provider/core/errors.js";
import type { Identity } from "../../../provider/host/worker/identity.js";
import type { SwitchMeasure, SwitchMove, SwitchResult } from "../../../provider/host/worker/switching.js";
import type { DiskSwitch, LinkSwitch, SwitchRequest } from "../../../provider/hypervisor/hypervisor.js";
import type { Identities } from "../../../provider/hypervisor/planned-move.js";
import { namesIn, outcomeOf, planWords, recoveryPlan, switchPlan } from "../../../provider/hypervisor/qemu/switch-plan.js";

const part = (disk: string, more: Partial<DiskSwitch> = {}): DiskSwitch => ({
  ...{ qdev: `/${disk}`, job: { id: `job-${disk}`, kind: "copy" }, node: `node-${disk}`, chain: [] },
  ...{ source: `/a/${disk}.qcow2`, target: { path: `/b/${disk}.qcow2`, format: "qcow2" } },
  manifests: [
    { path: `/a/${disk}.json`, now: "now", next: ["next", "between", "end"] },
    { path: `/b/${disk}.json`, now: "now", next: ["next", "between", "end"] },
  ],
  stale: { active: `/a/${disk}.qcow2`, quarantine: `/a/${disk}.former`, standIn: "none" },
  ...more,
});

const link: LinkSwitch = {
  path: "/vm",
  next: { path: "/vm.next", leadsTo: "/b" },
  back: { path: "/vm.back", leadsTo: "/a" },
};

/** Every name is a file of its own, known by that name. */
function seen(request: SwitchRequest): Identities {
  const identity = (path: string): Identity => ({
    ...{ handle: path, inode: "1", birthNs: null, device: "1", bootId: "boot" },
    fileSystem: { kind: "ext4", source: null, uuid: "u", fsid: null },
  });
  return new Map(namesIn(request).map((path) => [path, identity(path)]));
}

function requestOf(disks: readonly DiskSwitch[], through?: LinkSwitch) {
  const deciding = through ? { decidedBy: "link" as const, ...through } : { decidedBy: "switch-record" as const, path: "/a/record" };
  return { domainId: "domain", disks, deciding, pendingSeconds: 30 };
}

const planned = (disks: readonly DiskSwitch[], through?: LinkSwitch) =>
  switchPlan(requestOf(disks, through), seen(requestOf(disks, through)));

const measureWords = ({ places, file, textBehind, synced }: SwitchMeasure) =>
  `${places.map((place) => ("path" in place ? place.path : "")).join(" or ")} as ${file.handle}${synced ? " synced" : ""}, then ${textBehind}`;

const words = (moves: readonly SwitchMove[] | undefined) =>
  moves?.map(({ from, to }) => [from, to].map((place) => ("path" in place ? place.path : "")).join(" > "));

describe("the plan of a switch", () => {
  it("renames manifests, then the link, then stale images; the link decides", () => {
    const { stages, commit } = planned([part("a"), part("b")], link);
    assert.deepEqual(stages.map(words), [
      ["/a/a.json.next > /a/a.json", "/b/a.json.next > /b/a.json", "/a/b.json.next > /a/b.json", "/b/b.json.next > /b/b.json"],
      ["/vm.next > /vm"],
      ["/a/a.qcow2 > /a/a.former", "/a/b.qcow2 > /a/b.former"],
    ]);
    assert.equal(commit, 1);
  });

  it("waits for its jobs as long as it is told", () => {
    assert.equal(planned([part("a")]).pendingSeconds, 30);
  });

  it("without a link renames stale images before the one record of all disks, which decides", () => {
    const { stages, commit } = planned([part("a"), part("b")]);
    assert.deepEqual(stages.slice(1).map(words), [
      ["/a/a.qcow2 > /a/a.former", "/a/b.qcow2 > /a/b.former"],
      ["/a/record.next > /a/record"],
    ]);
    assert.equal(commit, 2);
    const { stale: _, ...nothingStale } = part("a");
    const { stages: fewer, commit: last } = planned([nothingStale]);
    assert.deepEqual([words(fewer[last]), fewer.length], [["/a/record.next > /a/record"], 2]);
  });

  it("with a link and nothing stale is still decided by the link", () => {
    const { stale: _, ...nothingStale } = part("a");
    const { stages, commit } = planned([nothingStale], link);
    assert.deepEqual([words(stages[commit]), stages.length], [["/vm.next > /vm"], 2]);
  });

  it("can put back what each replacing move replaces, and needs a free name for the others", () => {
    const { stages } = planned([part("a")], link);
    const backs = stages.flat().map(({ back }) => back && "path" in back.place && [back.place.path, back.file.handle]);
    assert.deepEqual(backs, [["/a/a.json.back", "/a/a.json.back"], ["/b/a.json.back", "/b/a.json.back"], ["/vm.back", "/vm.back"], null]);
  });

  it("puts a stand-in at a raw image's old name after the image has left it", () => {
    const raw = part("a", { stale: { active: "/a/a.raw", quarantine: "/a/a.former", standIn: "needed" }, source: "/a/a.raw" });
    assert.deepEqual(words(planned([raw]).stages[1]), ["/a/a.raw > /a/a.former", "/a/a.former.link > /a/a.raw"]);
  });

  it("locks the image that each disk leaves, under either of its names, and no target", () => {
    const frozen = part("b", { source: "/a/b.overlay" });
    const places = planned([part("a"), frozen]).disks.map((disk) => disk.places);
    assert.deepEqual(places, [[{ path: "/a/a.qcow2" }, { path: "/a/a.former" }], [{ path: "/a/b.overlay" }]]);
  });

  it("completes every manifest with the image that its disk leaves, and with the one that it goes to, which is synced", () => {
    const records = planned([part("a")]).records.map(({ places, file, measures }) => [places, file.handle, measures.map(measureWords)]);
    const measures = ["/a/a.qcow2 or /a/a.former as /a/a.qcow2, then between", "/b/a.qcow2 as /b/a.qcow2 synced, then end"];
    assert.deepEqual(
      records,
      ["/a/a.json", "/b/a.json"].map((path) => [[{ path: `${path}.next` }, { path }], `${path}.next`, measures]),
    );
  });

  it("in which nothing but where the guest runs decides is decided by its last stage", () => {
    const { deciding: _, ...request } = requestOf([part("a")]);
    const { stages, commit } = switchPlan(request, seen(request));
    assert.deepEqual([stages.length, commit, words(stages[commit])], [2, 1, ["/a/a.qcow2 > /a/a.former"]]);
  });

  it("completes no manifest that is whole already", () => {
    const manifests = [{ path: "/a/a.json", now: "now", next: ["next"] as const }];
    const { records, stages } = planned([part("a", { manifests })]);
    assert.deepEqual([records, words(stages[0])], [[], ["/a/a.json.next > /a/a.json"]]);
  });

  it("of what was cut has the names and the jobs, and leaves the manifests as they are", () => {
    for (const through of [link, undefined]) {
      const whole = planned([part("a")], through);
      const { stages, commit, records, disks } = recoveryPlan(requestOf([part("a")], through), seen(requestOf([part("a")], through)));
      assert.deepEqual([stages, records, disks], [whole.stages.slice(1), [], whole.disks]);
      assert.equal(commit, whole.commit - 1);
    }
  });

  it("with a name that nobody has looked at is a fault of ours", () => {
    assert.throws(
      () => switchPlan(requestOf([part("a")]), new Map()),
      (thrown) => isKind(thrown, "bug"),
    );
  });

  it("reads as what will be done, in its order, with the rename that decides", () => {
    const said = planWords(planned([part("a")], link));
    assert.match(said, /^complete job-a and wait.*; lock \/a\/a\.qcow2 /);
    assert.match(said, /; write sizes and times of \/a\/a\.qcow2 and \/b\/a\.qcow2 into \/a\/a\.json\.next; /);
    assert.match(said, /; decides: rename \/vm\.next to \/vm; rename \/a\/a\.qcow2 to \/a\/a\.former; finalize job-a/);
  });
});

describe("the end of a switch over QMP", () => {
  const told = (end: SwitchResult["end"], astray: string[] = []) => {
    const outcome = outcomeOf([part("a"), part("b")], { end, why: null, astray });
    return [outcome.end, ...outcome.stayed];
  };

  it("names the disks that did not go over", () => {
    assert.deepEqual(told("switched"), ["switched"]);
    assert.deepEqual(told("cancelled"), ["stayed", "/a", "/b"]);
    assert.deepEqual(told("cancelled-half-way"), ["names-left", "/a", "/b"]);
    assert.deepEqual(told("astray", ["job-b"]), ["apart", "/b"]);
  });

  it("where QEMU has ended names those that boot from their sources", () => {
    assert.deepEqual(told("finished-without-qemu"), ["ended"]);
    assert.deepEqual(told("reverted-without-qemu"), ["ended", "/a", "/b"]);
  });
});

/** What a switch is told with, whichever hypervisor carries it out: that it was not begun, is not over, or how it has ended. */

import assert from "node:assert/strict";
import { isKind, UnreachableError } from "../../../provider/core/errors.js";
import { type Named, switchDisks } from "../../../provider/flows/shared/switch.js";
import { WorkerError } from "../../../provider/host/worker/worker-error.js";
import type { DiskSwitch, SwitchOutcome, SwitchRequest, SwitchWords } from "../../../provider/hypervisor/hypervisor.js";
import { Unable } from "../../../provider/hypervisor/unable.js";
import { HalfSwitched } from "../../../provider/reconciler/half-switched.js";
import { emptyView } from "../move/noting-guest.js";
import { MoveScene } from "../move/scene.js";

const part = (disk: string): Named<DiskSwitch> => ({
  ...{ disk, qdev: `/${disk}`, job: { id: `job-${disk}`, kind: "copy" }, node: disk, chain: [], manifests: [] },
  ...{ source: `/a/${disk}`, target: { path: `/b/${disk}`, format: "qcow2" } },
});

/** Two disks, vda and vdb. */
async function told(answer: (request: SwitchRequest, words: SwitchWords) => SwitchOutcome | Promise<never>) {
  await using scene = await MoveScene.open();
  const { site, asked } = scene.site({ switch: answer });
  const going = switchDisks({ site, seen: { view: emptyView }, outcome: scene.outcome }, [part("vda"), part("vdb")]);
  const thrown = await going.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  const cancelled = asked.filter((line) => line.startsWith("cancel"));
  return { thrown, said: thrown instanceof Error ? thrown.message : "", told: scene.told, cancelled, outcome: scene.outcome };
}

const ended = (end: SwitchOutcome["end"], { why, stayed = [] }: { why?: string; stayed?: readonly string[] }) =>
  told(() => ({ end, why: why ?? null, stayed }));
const failure = (name: "timed-out" | "other-file" | "bug") =>
  new WorkerError("switch-run", { name, errno: null, path: null, message: "the words", details: {} });

describe("a switch", () => {
  it("that is done is told with its pause, and with what is not", async () => {
    const {
      thrown,
      outcome,
      told: lines,
    } = await told(() => ({ end: "switched", why: "a name is taken", stayed: [], pauseSeconds: 0.02 }));
    assert.equal(thrown, undefined);
    assert.deepEqual([outcome.tell("vda")?.pauseMs, outcome.tell("vdb")?.pauseMs], [20, 20]);
    assert.match(lines.join(), /warning: web on .*: the switch is done, but a name is taken\./);
  });

  it("tells what will be done, and how long the hypervisor has not answered", async () => {
    const { told: lines } = await told((request, words) => {
      words.planned(`move ${request.disks.length} disks`);
      words.silent({ silentSeconds: 10, isSuspended: true });
      return { end: "switched", why: null, stayed: [] };
    });
    assert.match(lines.join("\n"), /debug: web on .*: the switch will move 2 disks\./);
    assert.match(lines.join("\n"), /vda, vdb switching: libvirt has not answered for 10 s; the guest is suspended until it does/);
  });

  it("that is refused before it begins is told with where the guest is", async () => {
    const left = "Nothing was switched: the guest goes on writing to /a/vda, /a/vdb.";
    const refused = await told(() => Promise.reject(failure("other-file")));
    assert.equal(isKind(refused.thrown, "user"), true);
    assert.match(
      refused.said,
      new RegExp(`Unable to switch vda, vdb of web on .*: switch-run: the words\\. ${left} Run .pulumi up. again`),
    );
    const unable = await told(() => Promise.reject(new Unable("it is busy", "Wait for it.")));
    assert.match(unable.said, new RegExp(`: it is busy\\. ${left} Wait for it\\.$`));
  });

  it("that the host does not end in time goes on there: nobody says that it was not begun", async () => {
    const { thrown, said } = await told(() => Promise.reject(failure("timed-out")));
    assert.equal(isKind(thrown, "outcome-unknown"), true);
    assert.match(said, /has not told its end in time\. The host goes on with it by itself, and the next run waits for that\./);
    assert(!said.includes("Nothing was switched"));
  });

  it("that ends by a fault of ours, or with the connection, is told as that", async () => {
    for (const reason of [failure("bug"), new UnreachableError("lost")])
      assert.equal((await told(() => Promise.reject(reason))).thrown, reason);
  });

  const goesOn = (...sources: string[]) => `The guest goes on writing to ${sources.join(", ")}`;
  for (const [end, given, words] of [
    ["stayed", { stayed: ["/vdb"], why: "no" }, `switch vdb of .*: no\\. ${goesOn("/a/vda", "/a/vdb")}, which is current`],
    ["stayed", {}, `switch vda, vdb of .*: it did not come to its end\\. ${goesOn("/a/vda", "/a/vdb")}, which is current`],
    ["names-left", {}, `${goesOn("/a/vda", "/a/vdb")}, but not all names and manifests could be set back`],
    ["strayed", { stayed: ["/vda"], why: "theirs" }, "switch vda of .*: theirs\\. Nothing was switched, and the job was called off"],
    [
      "apart",
      { stayed: ["/vdb"], why: "io" },
      `its QEMU did not go over \\(io\\)\\. ${goesOn("/a/vdb")}, which is current: a boot must use that`,
    ],
    ["ended", { stayed: ["/vdb"] }, "its QEMU ended in the middle\\. A boot finds /b/vda, /a/vdb\\."],
    ["ended", { why: "read-only" }, "its QEMU ended in the middle \\(read-only\\)\\. A boot must use /b/vda, /b/vdb\\."],
    [
      "lost",
      { stayed: ["/vdb"], why: "it lives" },
      "switch vda, vdb of .*: it lives\\. No write is lost: a boot must use /b/vda, /a/vdb\\. .* end that process before",
    ],
    ["unclear", { why: "lost" }, "switch vda, vdb of .*: lost\\. What has moved has moved, and no write is lost"],
  ] as const)
    it(`whose end is ${end} (${JSON.stringify(given)}) says where each disk is`, async () => {
      const { thrown, said, cancelled } = await ended(end, given);
      assert.match(said, new RegExp(words));
      assert.equal(thrown instanceof HalfSwitched, end === "apart");
      assert.deepEqual(cancelled, end === "strayed" ? ['cancel "job-vda"', 'cancel "job-vdb"'] : []);
    });
});

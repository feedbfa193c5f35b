/** The steps of a mirror, as a move takes them. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import type { JobStatus } from "../../../provider/core/disk/job.js";
import { nextOf } from "../../../provider/core/disk/names.js";
import type { Guest, GuestView, ImageView, SwitchOutcome } from "../../../provider/hypervisor/hypervisor.js";
import { run, until } from "../../sandbox/command.js";
import type { Workbench } from "./bare-guest.js";

export const job = "lm-00000000-mirror";
export const target = "lm-00000000-tgt";
export const filter = "lm-00000000-flt";

export function activeImage(view: GuestView): ImageView {
  const medium = view.disks[0]?.medium;
  assert.ok(medium?.kind === "image", JSON.stringify(medium));
  return medium;
}

export async function reaches(guest: Guest, status: JobStatus): Promise<void> {
  const seen = new Set<string>();
  await until(
    60,
    async () => {
      const found = (await guest.jobs()).find(({ id }) => id === job);
      seen.add(found?.status ?? "absent");
      if (found?.status === status) return found;
      await guest.wakeUp(0.2);
      return undefined;
    },
    () => `the job never was ${status}, only ${[...seen].join(", ")}`,
  );
}

/** A chain of two layers under `a/`, its base copied to `b/`, an empty target over it: what a move has made before the mirror. */
export async function twoPlaces(bench: Workbench): Promise<void> {
  await run("mkdir", [bench.at("a"), bench.at("b")]);
  await bench.image("a/base.qcow2");
  await bench.io("a/base.qcow2", "write -P 0x11 0 4M");
  await bench.image("a/top.qcow2", { backing: "base.qcow2" });
  await bench.io("a/top.qcow2", "write -P 0x22 1M 1M");
  await run("cp", [bench.at("a/base.qcow2"), bench.at("b/base.qcow2")]);
  await bench.image("b/top.qcow2", { backing: "base.qcow2" });
}

export async function startMirror(guest: Guest, bench: Workbench): Promise<ImageView> {
  const image = activeImage(await guest.look());
  const { cache, detectZeroes } = image;
  await guest.graph?.openTarget(target, { path: bench.at("b/top.qcow2"), format: "qcow2", cache, detectZeroes });
  const options = { source: image.activeNode, sync: "top", copyMode: "write-blocking", maxBytesPerSecond: 0 } as const;
  await guest.graph?.startMirror({ job, target, filter }, options);
  return image;
}

/** Of a mirror that is ready, by the host's worker; one file of the test's own gets another name with it. */
export async function switchMirror(guest: Guest, bench: Workbench): Promise<SwitchOutcome> {
  await reaches(guest, "ready");
  await writeFile(nextOf(bench.at("after")), "");
  const { domainId, disks } = await guest.look();
  const layer = (name: string) => ({ path: bench.at(name), format: "qcow2" });
  const [source, goal] = [layer("a/top.qcow2"), layer("b/top.qcow2")];
  const disk = {
    ...{ qdev: disks[0]?.qdev ?? "", job: { id: job, kind: "copy" as const }, node: target, source: source.path, target: goal },
    ...{ chain: [source, layer("a/base.qcow2")], manifests: [] },
  };
  const deciding = { decidedBy: "switch-record" as const, path: bench.at("after") };
  return guest.switch({ domainId, disks: [disk], deciding, pendingSeconds: 30 }, { planned: () => {}, silent: () => assert.fail() });
}

export async function pivot(guest: Guest, bench: Workbench): Promise<void> {
  const { end, why } = await switchMirror(guest, bench);
  assert.deepEqual([end, why], ["switched", null]);
  assert(existsSync(bench.at("after")));
  await reaches(guest, "concluded");
  await guest.dismiss(job);
}

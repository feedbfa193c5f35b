/** The steps of a mirror, as a move takes them. */

import assert from "node:assert/strict";
import type { JobStatus } from "../../../provider/core/disk/job.js";
import type { Guest, GuestView, ImageView } from "../../../provider/hypervisor/hypervisor.js";
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
  await guest.openTarget(target, { path: bench.at("b/top.qcow2"), format: "qcow2", cache, detectZeroes });
  const options = { source: image.activeNode, sync: "top", copyMode: "write-blocking", maxBytesPerSecond: 0 } as const;
  await guest.startMirror(job, target, filter, options);
  return image;
}

export async function pivot(guest: Guest): Promise<void> {
  await reaches(guest, "ready");
  await guest.complete(job);
  await reaches(guest, "pending");
  await guest.finalize(job);
  await reaches(guest, "concluded");
  await guest.dismiss(job);
}

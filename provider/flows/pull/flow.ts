/**
 * `base`: what lies between the active image and the declared layer is pulled up (the proposal's step 5, blockpull --base). A run that is
 * cut loses nothing: the job goes on in QEMU, and the next run finds it.
 */

import { posix } from "node:path";
import type { LayerFile } from "../../core/disk/chain-options.js";
import { baseName, directoryOf, within } from "../../core/disk/paths.js";
import { realPath } from "../../host/files.js";
import type { PullOptions } from "../../hypervisor/hypervisor.js";
import { imageInfo } from "../../image/qemu-img.js";
import { type Deeds, diskNamed, disksNamed, type Flow } from "../../reconciler/flow.js";
import type { HeldPlaces } from "../../reconciler/held-places.js";
import { JobSupervisor } from "../../reconciler/job-supervisor.js";
import { reconcile } from "../../reconciler/loop.js";
import { orRefusal } from "../shared/complaint.js";
import { namedNodes } from "../shared/former-nodes.js";
import { checkOthers } from "../shared/others.js";
import { whenMonitorIsFree } from "../shared/patience.js";
import type { Site } from "../shared/site.js";
import { type Looked, observe, type PulledDisk } from "./observe.js";
import { nextStep, type Step } from "./plan.js";
import { checkPull, endedEarly, refusal } from "./preflight.js";

/** Whether a pull of ours is under way, so that the resource must be remembered. */
export async function isPulling(site: Site, disk: string): Promise<boolean> {
  const { disks } = await observe(site, disk, undefined);
  return disks.some(({ seen }) => "job" in seen);
}

/** A disk, and what shall lie right below its active image; without one, a pull that was begun is ended. */
export interface Wanted {
  disk: string;
  base: string | undefined;
}

/** Does `work` while no other run may touch these disks' places. */
export type WithPlacesLocked = (site: Site, disks: readonly string[], work: (places: HeldPlaces) => Promise<void>) => Promise<void>;

/** Brings `base` right below the active image; without one, ends a pull that was begun. */
export async function settleBase(site: Site, { disk, base }: Wanted, withPlacesLocked: WithPlacesLocked): Promise<void> {
  const { disks } = await whenMonitorIsFree(site, () => observe(site, disk, base));
  if (disks.every(({ seen }) => seen.phase === "settled")) return;
  await withPlacesLocked(site, [disk], async (places) => {
    const flow = pullFlow(site, { disk, base });
    await closeLeftOpen(site, await reconcile(site, places, flow), flow.tools.pulled);
  });
}

interface PullTools {
  site: Site;
  base: string;
  jobs: JobSupervisor<PulledDisk>;
  /** Nodes of the layers that this run has let be pulled up, an overlay before what it backs. */
  pulled: string[];
}

function pullFlow(site: Site, { disk, base }: Wanted): Flow<PullTools, Looked, Step> {
  const jobs = new JobSupervisor<PulledDisk>(site, {
    working: new Set(["pulling"]),
    storageOf: ({ active }) => directoryOf(active.named),
    targets: "kept",
    refuse: (_, why, { left, advice }) => refusal(site, disk)(why, advice, { left }),
  });
  return {
    tools: { site, base: base ?? "", jobs, pulled: [] },
    deeds,
    observe: () => observe(site, disk, base),
    next: ({ disks }) => [nextStep(base === undefined ? "leave" : "pull", disks)],
    loading: new Set(["start-pull"]),
    releasing: new Set(),
    words: { undoHint: ", or `pulumi destroy` to leave the chain as it is by then" },
  };
}

const deeds: Deeds<PullTools, Looked, Step> = {
  stop: async ({ site }, _, { disk, why }) => {
    throw refusal(site, disk)(why, "Correct `base`, or leave it out.");
  },
  "start-pull": (tools, seen, { disk, between }) => start(tools, seen, { disk: diskNamed(seen, disk), between }),
  continue: ({ jobs }, seen, { disk }) => jobs.resumeOnce(diskNamed(seen, disk)),
  wait: ({ jobs }, seen, { disks }) => jobs.wait(disksNamed(seen, disks)),
  finalize: async ({ site }, seen, { disk }) => {
    const { seen: now } = diskNamed(seen, disk);
    if ("job" in now) await site.guest.finalize(now.job.id);
    await site.guest.wakeUp(0.1);
  },
  cancel: ({ jobs }, seen, { disks }) => jobs.cancel(disksNamed(seen, disks)),
};

async function start(
  { site, base, jobs, pulled }: PullTools,
  { view }: Looked,
  { disk, between }: { disk: PulledDisk; between: readonly string[] },
): Promise<void> {
  jobs.begins(disk, { job: `pull to ${base}`, vanished: () => endedEarly(site, disk) });
  await checkPull(site, view, { ...disk, layers: between.length });
  await checkOthers(site, [disk], { refuse: (_, why, advice) => refusal(site, disk.disk)(why, advice), sharing: "refused" });
  const { chain, image, key, qdev } = disk;
  site.run.say("info", `${disk.disk}: pulling ${between.join(", ")} up into ${chain[0]}, which then stands on ${base}.`);
  const depth = between.length + 1;
  const options: PullOptions = {
    top: { node: image.activeNode, path: image.chain[0].path },
    base: { depth, path: image.chain[depth]?.path ?? base },
    ...(site.guest.traits.backingNames === "as-asked" && {
      backingName: await nameOf(site, { path: chain[0], format: image.chain[0].format }, base),
    }),
    maxBytesPerSecond: site.options.maxBytesPerSecond,
  };
  const named = await orRefusal(
    () => site.guest.pull({ key, qdev }, options),
    (why, advice, cause) => refusal(site, disk.disk)(why, advice, { cause }),
  );
  if (named === "absolute")
    site.run.say("info", `${disk.disk}: its image then names ${options.base?.path} by its full path: libvirt keeps no relative name here.`);
  const [first, ...rest] = image.chain.slice(1, between.length + 1);
  if (first) pulled.push(...namedNodes(view, { chain: [first, ...rest] }));
}

/** Relative names stay relative, absolute ones absolute. */
async function nameOf(site: Site, { path: active, format }: LayerFile, base: string): Promise<string> {
  const { backingName } = await imageInfo(site.host, active, format);
  if (backingName === undefined || backingName.startsWith("/") || backingName.startsWith("json:")) return base;
  const [from, to] = [await realPath(site.host, directoryOf(active)), await realPath(site.host, directoryOf(base))];
  return posix.relative(from, within(to, baseName(base)));
}

/** Layers that were pulled up, and that somebody had named: they stay open after they were let go. What a disk still stands on cannot be closed. */
async function closeLeftOpen(site: Site, { view, disks }: Looked, pulled: readonly string[]): Promise<void> {
  for (const { key, image } of disks) {
    const ours = view.nodes.map(({ name }) => name).filter((name) => name.startsWith(`lm-${key}-`) && !name.endsWith("-file"));
    const used = new Set(namedNodes(view, image));
    await site.guest.closeNodes([...pulled, ...ours].filter((name) => !used.has(name)));
  }
}

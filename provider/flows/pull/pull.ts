/**
 * `base`: what lies between the active image and the declared layer is pulled up (the proposal's step 5, blockpull --base). Observe,
 * then one step, until done. A run that is cut loses nothing: the job goes on in QEMU, and the next run finds it.
 */

import { posix } from "node:path";
import type { LayerFile } from "../../core/disk/chain-options.js";
import { jobNames, nodeNames } from "../../core/disk/names.js";
import { baseName, directoryOf, within } from "../../core/disk/paths.js";
import { impossible } from "../../core/errors.js";
import { realPath } from "../../host/files.js";
import { imageInfo } from "../../image/qemu-img.js";
import { Watch } from "../../reconciler/watch.js";
import { namedNodes } from "../shared/former-nodes.js";
import type { HeldPlaces, WithPlacesLocked } from "../shared/held-places.js";
import { checkOthers } from "../shared/others.js";
import { whenMonitorIsFree } from "../shared/patience.js";
import { pace } from "../shared/progress.js";
import type { Site } from "../shared/site.js";
import { startManagedPull } from "./managed-pull.js";
import { type Looked, look } from "./observe.js";
import { nextStep, type Step } from "./plan.js";
import { checkPull, endedEarly, refusal, stalled } from "./preflight.js";

/** Whether a pull of ours is under way, so that the resource must be remembered. */
export async function isPulling(site: Site, disk: string): Promise<boolean> {
  return "job" in (await look(site, disk, undefined)).seen;
}

/** A disk, and what shall lie right below its active image; without one, a pull that was begun is ended. */
export interface Wanted {
  disk: string;
  base: string | undefined;
}

/** Brings `base` right below the active image; without one, ends a pull that was begun. */
export async function settleBase(site: Site, wanted: Wanted, withPlacesLocked: WithPlacesLocked): Promise<void> {
  const first = await whenMonitorIsFree(site, () => look(site, wanted.disk, wanted.base));
  if (first.seen.phase === "settled") return;
  await withPlacesLocked(site, [wanted.disk], (places) => pullUntilDone(site, places, wanted));
}

async function pullUntilDone(site: Site, places: HeldPlaces, { disk, base }: Omit<Pulling, "looked">): Promise<void> {
  const watch = new Watch(site.options.stallSeconds);
  const told = pace(`${disk} pulling`);
  const continued = new Set<string>();
  let pulled: readonly string[] | undefined;
  for (;;) {
    const looked = await look(site, disk, base);
    const step = nextStep(base === undefined ? "leave" : "pull", looked.seen);
    if (step.step === "done") return closeLeftOpen(site, looked, pulled ?? []);
    if (site.run.stop.aborted) throw refusal(site, disk)("it was asked to stop, and the pull goes on in QEMU", "Run `pulumi up` again.");
    watch.see(step, { disks: [{ disk, seen: looked.seen }] });
    await places.check();
    if (step.step === "wait") site.run.progress(told(step.job.currentProgress, step.job.totalProgress));
    if (step.step === "continue" && continued.has(step.job.id)) throw stalled(site, disk, looked);
    if (step.step === "continue") continued.add(step.job.id);
    if (step.step === "start-pull" && pulled) throw endedEarly(site, disk, looked);
    if (step.step === "start-pull") pulled = await start(site, { disk, base, looked }, step.between);
    else await take(site, { disk, base, looked }, step);
  }
}

interface Pulling {
  disk: string;
  base: string | undefined;
  looked: Looked;
}

async function take(site: Site, pulling: Pulling, step: Exclude<Step, { step: "done" | "start-pull" }>): Promise<void> {
  const { guest } = site;
  switch (step.step) {
    case "stop":
      throw refusal(site, pulling.disk)(step.why, "Correct `base`, or leave it out.");
    case "wait":
      return guest.wakeUp(0.5);
    case "continue":
      await guest.resume(step.job.id);
      return guest.wakeUp(0.5);
    case "finalize":
      await guest.finalize(step.job.id);
      return guest.wakeUp(0.1);
    case "cancel":
      await guest.cancel(step.job.id);
      return guest.wakeUp(0.1);
    default:
      return impossible(step);
  }
}

/** @returns the nodes of the layers that are pulled up, an overlay before what it backs */
async function start(site: Site, { disk, base = "", looked }: Pulling, between: readonly string[]): Promise<readonly string[]> {
  const { key, image, chain } = looked;
  await checkPull(site, disk, looked, between.length);
  const pulled = { disk, qdev: looked.qdev, active: { named: chain[0] } };
  await checkOthers(site, [pulled], { refuse: (_, why, advice) => refusal(site, disk)(why, advice), sharing: "refused" });
  site.run.say("info", `${disk}: pulling ${between.join(", ")} up into ${chain[0]}, which then stands on ${base}.`);
  const { managed } = site.guest;
  if (managed) {
    const layer = image.chain[between.length + 1]?.path;
    await startManagedPull(site, managed, { disk, qdev: looked.qdev, layer, refuse: refusal(site, disk) });
    return [];
  }
  const nodes = await site.guest.layerNodes(image.activeNode);
  const node = nodes[between.length + 1];
  if (node === undefined)
    throw refusal(site, disk)(`QEMU does not tell which of its nodes ${base} is`, "Restart the guest, then run `pulumi up` again.");
  await site.guest.startPull(jobNames.blockpull(key), nodeNames.filter(key), {
    top: image.activeNode,
    base: node,
    backingName: await nameOf(site, { path: chain[0], format: image.chain[0].format }, base),
    maxBytesPerSecond: site.options.maxBytesPerSecond,
  });
  const [first, ...rest] = image.chain.slice(1, between.length + 1);
  return first ? namedNodes(looked.view, { chain: [first, ...rest] }) : [];
}

/** Relative names stay relative, absolute ones absolute. */
async function nameOf(site: Site, { path: active, format }: LayerFile, base: string): Promise<string> {
  const { backingName } = await imageInfo(site.host, active, format);
  if (backingName === undefined || backingName.startsWith("/") || backingName.startsWith("json:")) return base;
  const [from, to] = [await realPath(site.host, directoryOf(active)), await realPath(site.host, directoryOf(base))];
  return posix.relative(from, within(to, baseName(base)));
}

/** Layers that were pulled up, and that somebody had named: they stay open after they were let go. What a disk still stands on cannot be closed. */
async function closeLeftOpen(site: Site, { view, key, image }: Looked, pulled: readonly string[]): Promise<void> {
  if (site.guest.managed) return; // libvirt opens and closes them
  const used = new Set(await site.guest.layerNodes(image.activeNode));
  const ours = view.nodes.map(({ name }) => name).filter((name) => name.startsWith(`lm-${key}-`) && !name.endsWith("-file"));
  await site.guest.closeNodes([...pulled, ...ours].filter((name) => !used.has(name)));
}

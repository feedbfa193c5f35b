/**
 * `base`: what lies between the active image and the declared layer is pulled up (the proposal's step 5, blockpull --base). Observe,
 * then one step, until done. A run that is cut loses nothing: the job goes on in QEMU, and the next run finds it.
 */

import { posix } from "node:path";
import { bytesText } from "../../core/bytes.js";
import { sameFile } from "../../core/disk/chain.js";
import { type DiskKey, diskKey, jobNames, nodeNames } from "../../core/disk/names.js";
import { baseName, directoryOf, within } from "../../core/disk/paths.js";
import { impossible } from "../../core/errors.js";
import { freeBytes, realPath, statFiles } from "../../host/files.js";
import type { Host } from "../../host/host.js";
import type { GuestView, ImageView } from "../../hypervisor/hypervisor.js";
import { findDisk } from "../../hypervisor/qemu/find.js";
import { imageInfo } from "../../image/qemu-img.js";
import { readSnapshotMark, snapshotLasts } from "../../journal/snapshot-mark.js";
import { Watch } from "../../reconciler/watch.js";
import { withPlacesLocked } from "../move/locked.js";
import { namedNodes } from "../move/steps/former-nodes.js";
import { checkOthers } from "../move/steps/others.js";
import { checkAlone, checkRead } from "../move/steps/preflight.js";
import { complaint } from "../shared/complaint.js";
import { imageOf } from "../shared/places.js";
import { pace } from "../shared/progress.js";
import type { SeenDisk, Site } from "../shared/site.js";
import { checkManagedPull, startManagedPull } from "./managed-pull.js";
import { nextStep, type SeenPull, type Step } from "./plan.js";

/** What one look shows of the disk. */
interface Looked {
  view: GuestView;
  key: DiskKey;
  qdev: string;
  image: ImageView;
  /** Paths of the chain, as QEMU names them made absolute. */
  chain: readonly [string, ...string[]];
  seen: SeenPull;
}

/** Whether the layer right below the active image is the declared one; and which it is. */
export async function observeBase(
  host: Host,
  { image, active }: Pick<SeenDisk, "image" | "active">,
  base: string,
): Promise<{ is: "declared" | "another"; found: string | undefined }> {
  const below = image.chain[1] && within(directoryOf(active.named), image.chain[1].path);
  if (below === undefined || below === base) return { is: below === base ? "declared" : "another", found: below };
  const [wanted, layer] = await statFiles(host, [base, below], "follow");
  return { is: wanted && layer && sameFile(wanted, layer) ? "declared" : "another", found: below };
}

/** Whether a pull of ours is under way, so that the resource must be remembered. */
export async function isPulling(site: Site, disk: string): Promise<boolean> {
  return "job" in (await look(site, disk, undefined)).seen;
}

/** Brings `base` right below the active image; without one, ends a pull that was begun. */
export async function settleBase(site: Site, disk: string, base: string | undefined): Promise<void> {
  const first = await look(site, disk, base);
  if (first.seen.phase === "settled") return;
  await withPlacesLocked(site, [disk], () => pullUntilDone(site, disk, base));
}

async function pullUntilDone(site: Site, disk: string, base: string | undefined): Promise<void> {
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

async function look(site: Site, disk: string, base: string | undefined): Promise<Looked> {
  const looked = await site.guest.look();
  const device = await findDisk(site.guest, looked, disk);
  const { managed } = site.guest;
  const view = managed ? await managed.lookForPull(device.qdev) : looked;
  const image = imageOf(site, disk, managed ? await findDisk(site.guest, view, device.qdev) : device);
  const process = await site.guest.process();
  const active = within(process?.workingDirectory ?? "/", image.chain[0].path);
  const below = image.chain.slice(1).map(({ path }) => within(directoryOf(active), path));
  const key = diskKey(view.domainId, device.qdev);
  const found: Omit<Looked, "seen"> = { view, key, qdev: device.qdev, image, chain: [active, ...below] };
  return { ...found, seen: await phaseOf(site, found, base) };
}

async function phaseOf(site: Site, { view, key, chain }: Omit<Looked, "seen">, base: string | undefined): Promise<SeenPull> {
  const job = view.jobs.find(({ id }) => id === jobNames.blockpull(key));
  if (job?.status === "pending") return { phase: "pending", job };
  if (job) return { phase: job.ioStatus === "ok" ? "pulling" : "stalled", job };
  if (base === undefined) return { phase: "settled" };
  const [wanted, ...layers] = await statFiles(site.host, [base, ...chain], "follow");
  const index = layers.findIndex((layer) => wanted !== undefined && layer !== undefined && sameFile(wanted, layer));
  if (index === 1) return { phase: "settled" };
  if (index > 1) return { phase: "deeper", between: chain.slice(1, index) };
  const why = index === 0 ? `base ${base} is its active image` : `base ${base} is not a layer of its chain (${chain.join(" ← ")})`;
  return { phase: "contradiction", why };
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
    backingName: await nameOf(site, chain[0], base),
    maxBytesPerSecond: site.options.maxBytesPerSecond,
  });
  const [first, ...rest] = image.chain.slice(1, between.length + 1);
  return first ? namedNodes(looked.view, { chain: [first, ...rest] }) : [];
}

async function checkPull(site: Site, disk: string, { view, key, qdev, image, chain }: Looked, layers: number): Promise<void> {
  const refuse = refusal(site, disk);
  if (site.guest.managed) await checkManagedPull(site.guest.managed, view, { qdev, refuse });
  const mark = await readSnapshotMark(site.host, key, [await realPath(site.host, directoryOf(chain[0]))]);
  if (mark) throw refuse(snapshotLasts(mark), "Then run `pulumi up` again.");
  if (image.readOnly) throw refuse("it is read-only", "Nothing can be pulled into a read-only image: leave `base` out.");
  checkRead(image, refuse);
  checkAlone(view, image, refuse);
  await checkOpen(site, chain.slice(0, layers + 2), refuse);
  const needed = image.chain.slice(1, layers + 1).reduce((sum, { allocatedBytes }) => sum + allocatedBytes, 0);
  const free = await freeBytes(site.host, directoryOf(chain[0]));
  if (free >= needed) return;
  const why = `${directoryOf(chain[0])} has ${bytesText(free)} free, ${bytesText(needed)} may be needed`;
  throw refuse(why, "Free space, then run `pulumi up` again.");
}

/** What the active image's header is to name is the very file that QEMU has open under that name. */
async function checkOpen({ host, guest }: Site, paths: readonly string[], refuse: (why: string, advice: string) => Error): Promise<void> {
  const open = (await guest.process())?.openFiles;
  if (!open) return;
  const files = await statFiles(host, paths, "follow");
  const other = paths.find((_, index) => !open.has(`${files[index]?.dev}:${files[index]?.ino}`));
  if (other === undefined) return;
  throw refuse(
    `${other} is another file than the one that QEMU has open under that name`,
    "Put the right file back, then run `pulumi up` again.",
  );
}

/** Relative names stay relative, absolute ones absolute. */
async function nameOf(site: Site, active: string, base: string): Promise<string> {
  const { backingName } = await imageInfo(site.host, active);
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

/** The job is gone and has left no error (hypervisor.ts, startPull); what it has pulled is not lost. */
function endedEarly(site: Site, disk: string, { chain }: Looked): Error {
  return refusal(site, disk)(
    `the pull ended before ${chain[0]} stood on the declared layer`,
    "Look at the guest's log for why, then run `pulumi up` again.",
  );
}

function stalled(site: Site, disk: string, { seen, chain }: Looked): Error {
  const nospace = seen.phase === "stalled" && seen.job.ioStatus === "nospace";
  const what = nospace ? "has no space left" : "answers with I/O errors";
  return refusal(site, disk)(
    `${directoryOf(chain[0])} ${what}`,
    "Repair the storage, then run `pulumi up` again: the pull goes on where it stopped.",
  );
}

function refusal(site: Site, disk: string) {
  const left = "The guest runs on, and no write is lost.";
  return (why: string, advice: string, cause?: unknown) =>
    complaint(site, { verb: "pull up the layers of", disk, why, left, advice, cause });
}

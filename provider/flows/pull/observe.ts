/** What is seen of a disk whose layers are pulled up. */

import { sameFile } from "../../core/disk/chain.js";
import { type DiskKey, diskKey, jobNames } from "../../core/disk/names.js";
import { directoryOf, within } from "../../core/disk/paths.js";
import { seeFiles } from "../../host/file-seen.js";
import type { Host } from "../../host/host.js";
import { findDisk } from "../../hypervisor/find-disk.js";
import type { GuestView, ImageView } from "../../hypervisor/hypervisor.js";
import { imageOf } from "../shared/places.js";
import type { SeenDisk, Site } from "../shared/site.js";
import type { DiskStatus } from "../shared/status.js";
import type { SeenPull } from "./plan.js";
import { statusOfPull } from "./status.js";

/** The disk with all that was seen of it. */
export interface PulledDisk {
  disk: string;
  key: DiskKey;
  qdev: string;
  image: ImageView;
  /** Paths of the chain, as QEMU names them made absolute. */
  chain: readonly [string, ...string[]];
  active: { named: string };
  seen: SeenPull;
}

/** One observation. */
export interface Looked {
  view: GuestView;
  disks: PulledDisk[];
}

/** Whether the layer right below the active image is the declared one; and which it is. */
export async function observeBase(
  host: Host,
  { image, active }: Pick<SeenDisk, "image" | "active">,
  base: string,
): Promise<{ is: "declared" | "another"; found: string | undefined }> {
  const below = image.chain[1] && within(directoryOf(active.named), image.chain[1].path);
  if (below === undefined || below === base) return { is: below === base ? "declared" : "another", found: below };
  const [wanted, layer] = await seeFiles(host, [base, below], "follow");
  return { is: wanted && layer && sameFile(wanted, layer) ? "declared" : "another", found: below };
}

export async function observe(site: Site, disk: string, base: string | undefined): Promise<Looked> {
  const looked = await site.guest.look();
  const device = await findDisk(site.guest, looked, disk);
  const view = site.guest.traits.pulls === "told" ? looked : await site.guest.lookForPull(device.qdev);
  const image = imageOf(site, disk, view === looked ? device : await findDisk(site.guest, view, device.qdev));
  const process = await site.guest.process();
  const active = within(process?.workingDirectory ?? "/", image.chain[0].path);
  const below = image.chain.slice(1).map(({ path }) => within(directoryOf(active), path));
  const chain: PulledDisk["chain"] = [active, ...below];
  const key = diskKey(view.domainId, device.qdev);
  const seen = await phaseOf(site, { view, key, chain }, base);
  return { view, disks: [{ disk, key, qdev: device.qdev, image, chain, active: { named: active }, seen }] };
}

/** Where a disk stands whose move is settled: whether the declared layer is right below its active image, or on its way there. */
export async function pullStatus(site: Site, disk: string, base: string | undefined): Promise<DiskStatus> {
  const { disks } = await observe(site, disk, base);
  return disks.map(({ seen }) => statusOfPull(seen))[0] ?? "settled";
}

async function phaseOf(
  site: Site,
  { view, key, chain }: Pick<PulledDisk, "key" | "chain"> & { view: GuestView },
  base: string | undefined,
): Promise<SeenPull> {
  const job = view.jobs.find(({ id }) => id === jobNames.blockpull(key));
  if (job?.status === "pending") return { phase: "pending", job };
  if (job) return { phase: job.ioStatus === "ok" ? "pulling" : "stalled", job };
  if (base === undefined) return { phase: "settled" };
  const [wanted, ...layers] = await seeFiles(site.host, [base, ...chain], "follow");
  const index = layers.findIndex((layer) => wanted !== undefined && layer !== undefined && sameFile(wanted, layer));
  if (index === 1) return { phase: "settled" };
  if (index > 1) return { phase: "deeper", between: chain.slice(1, index) };
  const why = index === 0 ? `base ${base} is its active image` : `base ${base} is not a layer of its chain (${chain.join(" ← ")})`;
  return { phase: "contradiction", why };
}

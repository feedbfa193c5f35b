/** The switch of a guest that libvirt manages: suspend, write `current` down, pivot, look at the definition, resume (design 3.4). */

import { writeFileAtomically } from "../../host/files.js";
import type { ManagedGuest } from "../../hypervisor/hypervisor.js";
import { complaint } from "../complaint.js";
import type { Outcome } from "../outcome.js";
import { type Manifest, manifestText } from "../record/manifest.js";
import { manifestPaths } from "../record/records.js";
import type { Seen, SeenDisk, Site } from "../site.js";
import { managedSwitchScript } from "./switch-script.js";

type Switching = SeenDisk & { manifest: Manifest };

/** Longer than the script may take by itself: its own watchdog, and a pivot that libvirt is busy with. */
const answerSeconds = 120;

/**
 * Several disks pivot one after the other while the guest is suspended. libvirt cannot do it for all or none: if one refuses, the
 * others have moved, nothing is lost, and the next run goes on with that one.
 */
export async function switchManaged(
  site: Site,
  managed: ManagedGuest,
  seen: Seen,
  disks: readonly Switching[],
  outcome: Outcome,
): Promise<void> {
  const perDisk: string[] = [];
  for (const disk of disks) perDisk.push(...(await prepare(site, managed, disk)));
  const was = seen.view.status === "paused" ? "paused" : "running";
  const script = await site.host.open(managedSwitchScript, [managed.uri, seen.view.domainId, was, ...perDisk]);
  try {
    const armed = await script.next(30);
    if (armed !== "armed") throw refused(site, disks, armed.replace(/^failed 0 */, ""));
    script.send("go");
    const [verdict, milliseconds, ...words] = (await script.next(answerSeconds)).split(" ");
    for (const { disk } of disks) outcome.paused(disk, Number(milliseconds));
    if (verdict !== "switched") throw refused(site, disks, words.join(" ").trim().replace(/;$/, ""));
    await script.end();
  } catch (cause) {
    script.abandon(); // it goes on to its end by itself
    throw cause;
  }
}

/** Everything slow comes before the guest is suspended. */
async function prepare({ host }: Site, managed: ManagedGuest, { key, qdev, image, manifest }: Switching): Promise<string[]> {
  const { source, destination, quarantine } = manifest;
  const paths = manifestPaths(manifest, key);
  for (const path of Object.values(paths)) {
    await writeFileAtomically(host, `${path}.back`, manifestText(manifest));
    await writeFileAtomically(host, `${path}.next`, manifestText({ ...manifest, current: destination.target }));
  }
  const definition = image.definedAt === undefined ? undefined : await managed.definitionAt(qdev, destination.target);
  const definitionFile = definition === undefined ? "" : definitionPath(paths.source);
  if (definition !== undefined) await writeFileAtomically(host, definitionFile, definition);
  return [qdev, paths.source, paths.destination, source.active, quarantine, destination.target, definitionFile];
}

/** Beside the manifest, as long as the switch lasts. */
export function definitionPath(manifestPath: string): string {
  return `${manifestPath}.xml`;
}

function refused(site: Site, disks: readonly Switching[], why: string): Error {
  const left = "The guest runs on; what has moved has moved, and no write is lost.";
  return complaint(site, { verb: "switch", disk: disks.map(({ disk }) => disk).join(", "), why, left, advice: "Run `pulumi up` again." });
}

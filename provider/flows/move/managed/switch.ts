/** The switches of a guest that libvirt manages: suspend, write `current` down, pivot, look at the definition, resume (decisions/0003). */

import { backOf, type DiskKey, fileNames, nextOf } from "../../../core/disk/names.js";
import { within } from "../../../core/disk/paths.js";
import { writeFileAtomically } from "../../../host/files.js";
import type { ImageFile, ManagedGuest } from "../../../hypervisor/hypervisor.js";
import { endLine, recordedLine, recordLine } from "../../../hypervisor/libvirt/suspension.js";
import { managedSwitchScript } from "../../../hypervisor/libvirt/switch-script.js";
import { command, listed, word } from "../../../hypervisor/libvirt/words.js";
import { frozenFormat, type Manifest, manifestText, pathOf, type Standing } from "../../../journal/manifest.js";
import { manifestPaths } from "../../../journal/records.js";
import { oneByOne } from "../../../reconciler/one-by-one.js";
import { complaint } from "../../shared/complaint.js";
import type { Outcome } from "../../shared/outcome.js";
import type { Seen, SeenDisk, Site } from "../../shared/site.js";
import { committedTo } from "../turns.js";

type Switching = SeenDisk & { manifest: Manifest };

/** Where a switch goes: a copy's pivot to the `target`, a commit's to the `landing`, or on the way back to the `former` image. */
export type ManagedTurn = Exclude<Standing, "overlay">;

/** So long the run waits. The script goes on by itself, for a day if libvirtd is not there. */
const answerSeconds = 120;

export interface ManagedSwitch {
  site: Site;
  managed: ManagedGuest;
  seen: Seen;
  outcome: Outcome;
}

/** One disk's part of a switch. */
export interface ManagedEnding {
  disk: Switching;
  /** Where the job ends. */
  image: ImageFile;
  /** What its manifests say then. */
  next: Manifest;
  /** The name that the former active image gets; empty: it keeps its own. */
  quarantine: string;
}

/**
 * Several disks pivot one after the other while the guest is suspended. libvirt cannot do it for all or none: if one refuses, the
 * others have moved, nothing is lost, and the next run goes on with that one.
 */
export function switchManaged(to: ManagedSwitch, disks: readonly Switching[], turn: ManagedTurn): Promise<void> {
  const endingOf = (disk: Switching): ManagedEnding => {
    const path = pathOf(disk.manifest, turn);
    const quarantine = turn === "target" ? disk.manifest.quarantine : ""; // a commit leaves no image behind that was active under its own name
    return { disk, image: { path, format: formatOf(disk, turn) }, next: { ...after(disk.manifest, turn), current: path }, quarantine };
  };
  return endManaged(to, disks.map(endingOf));
}

/** The pivots of jobs that are ready, whatever images they end on. One switch of a guest waits for another one's end. */
export function endManaged(to: ManagedSwitch, endings: readonly ManagedEnding[]): Promise<void> {
  return oneByOne(`switch ${to.seen.view.domainId}`, () => endNow(to, endings));
}

async function endNow({ site, managed, seen, outcome }: ManagedSwitch, endings: readonly ManagedEnding[]): Promise<void> {
  const disks = endings.map(({ disk }) => disk);
  const [first] = disks;
  if (!first) return;
  const { domainId } = seen.view;
  const perDisk: string[] = [];
  for (const ending of endings) perDisk.push(...(await prepare(site, { managed, domainId }, ending)));
  const lock = turnPath(manifestPaths(first.manifest, first.key).source);
  const domain = [word(domainId), recordLine(domainId, lock), endLine(domainId), recordedLine(domainId), domainId];
  const script = await site.host.open(managedSwitchScript, [managed.uri, ...domain, ...perDisk]);
  try {
    const armed = await script.next(90);
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
async function prepare(
  { host }: Site,
  { managed, domainId }: { managed: ManagedGuest; domainId: string },
  { disk, image: to, next, quarantine }: ManagedEnding,
): Promise<string[]> {
  const { key, qdev, image, manifest } = disk;
  const paths = manifestPaths(manifest, key);
  for (const record of Object.values(paths)) {
    await writeFileAtomically(host, backOf(record), manifestText(manifest));
    await writeFileAtomically(host, nextOf(record), manifestText(next));
  }
  await writeFileAtomically(host, turnPath(paths.source), "");
  const definition = image.definedAt === undefined ? undefined : await managed.definitionAt(qdev, to);
  const definitionFile = definitionPath(paths.source);
  if (definition !== undefined) await writeFileAtomically(host, definitionFile, definition);
  const define = definition === undefined ? "" : command("update-device --config", domainId, definitionFile);
  return [qdev, paths.source, paths.destination, manifest.source.active, quarantine, listed(to.path), define, word(qdev)];
}

/** What is true once the guest is there, but for `current`. */
function after(manifest: Manifest, to: ManagedTurn): Manifest {
  switch (to) {
    case "target":
      return manifest;
    case "landing":
      return committedTo(manifest, "destination");
    case "former":
      return committedTo(manifest, "source");
  }
}

/** A target is like the active image that was mirrored onto it; what is committed into is the frozen image, or its copy. */
function formatOf({ image, manifest }: Switching, to: ManagedTurn): string {
  return to === "target" ? image.chain[0].format : frozenFormat(manifest);
}

/** Beside the manifest, as long as the switch lasts. */
export function definitionPath(manifestPath: string): string {
  return `${manifestPath}.xml`;
}

/** Beside the source's manifest: locked by the host as long as a switch lasts. */
export function turnPath(manifestPath: string): string {
  return `${manifestPath}.turn`;
}

/**
 * A switch whose run was killed ends by itself; until then nothing that is seen lasts.
 * @throws UserError if it has not ended after a minute, as when libvirtd is down
 */
export async function awaitSwitch(
  site: Site,
  places: readonly { key: DiskKey; disk: string; directories: readonly string[] }[],
): Promise<void> {
  if (!site.guest.managed) return;
  for (const { key, disk, directories } of places) {
    const turns = directories.map((directory) => turnPath(within(directory, fileNames.manifest(key))));
    /**
     * @host flock
     * @for locks
     * @does waits until a switch has ended, at most a minute for each lock
     * @changes nothing
     * @as the account
     * @why until a cut switch has ended nothing that is seen lasts
     */
    const script = 'for turn do [ ! -e "$turn" ] || flock -w 60 -- "$turn" true || exit; done';
    const { exitStatus } = await site.host.run(script, turns, { timeoutSeconds: 60 * turns.length + 30 });
    if (exitStatus === 0) continue;
    const why = "the switch that an earlier run began is not over: the host waits for libvirtd, or libvirtd for the guest's storage";
    const left = "It ends by itself, and lets the guest go on.";
    throw complaint(site, { verb: "go on with the move of", disk, why, left, advice: "Look at libvirtd there, then run again." });
  }
}

function refused(site: Site, disks: readonly Switching[], why: string): Error {
  const left = "What has moved has moved, and no write is lost.";
  return complaint(site, { verb: "switch", disk: disks.map(({ disk }) => disk).join(", "), why, left, advice: "Run `pulumi up` again." });
}

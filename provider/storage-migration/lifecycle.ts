/** `StorageMigration` in the provider process: parse, converge, tell. */

import { z } from "zod";
import { argumentsOf, changedArguments, checkArguments, isUnknown, settingsIn } from "../arguments.js";
import { directoryOf } from "../disk/paths.js";
import { messageOf } from "../errors.js";
import { isManaged, placeChanged } from "../hypervisor/address.js";
import { DomainMissing, GuestNotRunning, shutOff } from "../hypervisor/hypervisor.js";
import { gone, type Lifecycle, type Properties, type Run, Unfinished } from "../lifecycle.js";
import { allImages, converge, guestIsSilent, HalfWay, release } from "../migration/converge.js";
import { observe } from "../migration/look/observe.js";
import { observeForReport } from "../migration/look/shared-look.js";
import { openSite } from "../migration/open.js";
import { defaultMoveOptions, moveOptions } from "../migration/options.js";
import type { Outcome } from "../migration/outcome.js";
import { planLine } from "../migration/plan-line.js";
import { nothingLeftOnHost } from "../migration/record/leftover.js";
import { seenElsewhere } from "../migration/record/missing.js";
import { type DiskReport, diskReport, driftOf, isUnfinished } from "../migration/report.js";
import type { Seen, Site } from "../migration/site.js";
import { type StorageMigrationSettings, storageMigrationArgs, storageMigrationState } from "./resource.js";

export const storageMigration: Lifecycle = {
  check: (_olds, news) => checkArguments(storageMigrationArgs, news),

  diff(_id, olds, news, run) {
    const changed = changedArguments(storageMigrationArgs, olds, news);
    const unfinished = Object.values(movesIn(olds)).some(({ phase }) => isUnfinished(phase));
    const replaces = placeChanged(olds, news);
    if (replaces.length === 0 && (changed.length > 0 || unfinished)) tellPlan(olds, news, run);
    return { changes: changed.length > 0 ? undefined : unfinished, replaces };
  },

  async create(inputs, run) {
    const settings = settingsIn(storageMigrationArgs, inputs);
    const site = await siteOf(settings, run);
    const disks = settings.disks ?? (await allImages(site));
    return arrive(site, disks, inputs, {});
  },

  async read(id, outputs, run) {
    const settings = settingsIn(storageMigrationState, outputs);
    const inputs: Properties = { ...settings }; // with the defaults of what an older version did not know
    const site = await siteOf(settings, run);
    const known = movesIn(outputs);
    try {
      const disks = Object.keys(known).length > 0 ? Object.keys(known) : (settings.disks ?? (await allImages(site)));
      return reconciled(site, id, inputs, await observeForReport(site, disks), known);
    } catch (thrown) {
      if (thrown instanceof DomainMissing) {
        const seen = await seenElsewhere(site, outputs, placesOf(settings, known));
        return seen ? { id, inputs, outputs: seen } : gone;
      }
      if ((await guestIsSilent(site, thrown)) === "host-is-silent") throw thrown;
      run.say("warning", `${messageOf(thrown)} What is shown is what was last seen.`);
      return { id, inputs, outputs: { ...outputs, running: thrown instanceof GuestNotRunning ? false : outputs.running } };
    }
  },

  async update(id, olds, news, run) {
    const settings = settingsIn(storageMigrationArgs, news);
    const site = await siteOf(settings, run);
    const known = movesIn(olds);
    const disks = settings.disks ?? (Object.keys(known).length > 0 ? Object.keys(known) : await allImages(site));
    const dropped = Object.keys(known).filter((disk) => !disks.includes(disk));
    if (dropped.length > 0) await withdraw(site, dropped);
    if (isOnlyReported(settings, olds, disks)) return { outputs: { ...news, ...outputsOf(await observe(site, disks), known) } };
    const { outputs } = await arrive(site, disks, news, known, id);
    return { outputs };
  },

  async delete(_id, outputs, run) {
    const settings = settingsIn(storageMigrationState, outputs);
    const site = await siteOf(settings, run);
    const moves = movesIn(outputs);
    try {
      // a create whose guest ended in the middle could not report on its disks
      await withdraw(site, Object.keys(moves).length > 0 ? Object.keys(moves) : (settings.disks ?? (await allImages(site))));
    } catch (thrown) {
      if ((await guestIsSilent(site, thrown)) === "host-is-silent") throw thrown;
      await nothingLeftOnHost(site, String(outputs.domainId), placesOf(settings, moves), thrown);
    }
  },
};

/** Nothing is said of what only the update will tell. */
function tellPlan(olds: Properties, news: Properties, run: Run): void {
  const moves = movesIn(olds);
  const { destination, disks = Object.keys(moves), domain } = news;
  if (typeof destination !== "string" || isUnknown([destination, disks]) || !isListOfText(disks)) return;
  const line = planLine({
    disks: disks.map((disk) => ({ disk, seen: moves[disk] })),
    dropped: Object.keys(moves).filter((disk) => !disks.includes(disk)),
    before: typeof olds.destination === "string" ? olds.destination : undefined,
    destination,
    options: moveOptions.safeParse(argumentsOf(moveOptions, news)).data ?? defaultMoveOptions,
    by: isManaged(domain) ? "libvirt" : "qemu",
  });
  if (line !== undefined) run.say("info", line);
}

function isListOfText(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}

/** Where a move of the disks may have left its manifests. */
function placesOf({ destination }: StorageMigrationSettings, moves: Moves): string[] {
  return [destination, ...Object.values(moves).map(({ bootPath }) => directoryOf(bootPath))];
}

function siteOf(settings: StorageMigrationSettings, run: Run): Promise<Site> {
  const { host, domain, destination } = settings;
  return openSite({ host, domain, destination, options: moveOptions.parse(argumentsOf(moveOptions, settings)) }, run);
}

async function arrive(site: Site, disks: readonly string[], inputs: Properties, known: Moves, id?: string) {
  try {
    const { seen, outcome } = await converge(site, disks, "arrive");
    return { id: id ?? seen.view.domainId, outputs: { ...inputs, ...outputsOf(seen, known, outcome) } };
  } catch (thrown) {
    if (!(thrown instanceof HalfWay)) throw thrown;
    const { seen, recorded, outcome, cause } = thrown;
    const domainId = seen?.view.domainId ?? recorded[0]?.domainId;
    const outputs = seen ? outputsOf(seen, known, outcome) : { moves: known, domainId };
    throw new Unfinished(id ?? domainId ?? "unfinished", { ...inputs, ...outputs }, cause);
  }
}

/** With `onDrift: "report"` a disk that somebody moved stays where it is until `destination` changes. */
function isOnlyReported({ onDrift, destination }: StorageMigrationSettings, olds: Properties, disks: readonly string[]): boolean {
  const phases = disks.map((disk) => movesIn(olds)[disk]?.phase);
  const isAtRest = phases.every((phase) => phase === "idle" || phase === "settled");
  return onDrift === "report" && olds.destination === destination && isAtRest && phases.includes("idle");
}

/** For disks that are ours no more: what was begun ends, undone before its switch, finished after it. */
async function withdraw(site: Site, disks: readonly string[]): Promise<void> {
  if (disks.length === 0) return;
  const { destination: _, ...anywhere } = site;
  await converge(anywhere, disks, "withdraw");
  await release(anywhere, disks);
}

/** The inputs as they are in reality: the destination is where the first disk is that is not there. */
function reconciled(site: Site, id: string, inputs: Properties, seen: Seen, known: Moves) {
  const outputs = { ...inputs, ...outputsOf(seen, known) };
  const strayed = seen.disks.find((disk) => disk.seen.phase === "idle");
  if (!strayed) return { id, inputs, outputs };
  if (inputs.onDrift === "correct") return { id, inputs: { ...inputs, destination: strayed.active.directory }, outputs };
  site.run.say("warning", `${strayed.disk} of ${site.guest.name} is at ${strayed.active.named}, not in ${site.destination}.`);
  return { id, inputs, outputs };
}

function outputsOf(seen: Seen, known: Moves, outcome?: Outcome): Properties {
  const moves = Object.fromEntries(seen.disks.map((disk) => [disk.disk, diskReport(disk, outcome, known[disk.disk])]));
  const drift = seen.disks.flatMap((disk) => driftOf(disk) ?? []);
  return {
    moves,
    domainId: seen.view.domainId,
    running: seen.view.status !== shutOff,
    drift: drift.length > 0 ? drift.join(", ") : undefined,
  };
}

type Moves = Readonly<Record<string, DiskReport>>;

/** What the state says of the disks; states of older versions, and `{}`, say nothing. */
function movesIn(properties: Properties): Moves {
  const moves = z.record(
    z.string(),
    z.custom<DiskReport>((report) => typeof report === "object" && report !== null && "phase" in report && "chain" in report),
  );
  return moves.safeParse(properties.moves).data ?? {};
}

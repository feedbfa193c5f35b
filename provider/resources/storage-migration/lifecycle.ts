/** `StorageMigration` in the provider process: parse, converge, tell. */

import { argumentsOf, changedArguments, checkArguments, isUnknown, settingsIn } from "../../core/arguments.js";
import { directoryOf } from "../../core/disk/paths.js";
import { messageOf } from "../../core/errors.js";
import { gone, type Lifecycle, type Properties, type Run, Unfinished } from "../../core/lifecycle.js";
import { allImages, converge, guestIsSilent, HalfWay, release } from "../../flows/move/converge.js";
import { nothingLeftOnHost } from "../../flows/move/leftover.js";
import { asDeclared, declaredOutput, isSeveralPlaces } from "../../flows/move/look/declared.js";
import { observe } from "../../flows/move/look/observe.js";
import { observeForReport } from "../../flows/move/look/report-look.js";
import { shownPlaces } from "../../flows/move/look/shown.js";
import { seenElsewhere } from "../../flows/move/missing.js";
import { openSite } from "../../flows/move/open.js";
import { endingLine, planLine } from "../../flows/move/plan-line.js";
import { diskReport, driftOf } from "../../flows/move/report.js";
import { defaultMoveOptions, moveOptions } from "../../flows/shared/options.js";
import type { Outcome } from "../../flows/shared/outcome.js";
import type { Seen, Site } from "../../flows/shared/site.js";
import { isUnfinished } from "../../flows/shared/status.js";
import { isManaged, placeChanged } from "../../hypervisor/address.js";
import { DomainMissing, GuestNotRunning, shutOff } from "../../hypervisor/hypervisor.js";
import { type StorageMigrationSettings, storageMigrationArgs, storageMigrationState } from "./resource.js";
import { asWrittenNow, declaredAs, isOnlyReported, type Moves, movesIn, shownArguments } from "./state.js";

export const storageMigration: Lifecycle = {
  check: (_olds, news) => checkArguments(storageMigrationArgs, news),

  diff(_id, olds, news, run) {
    const changed = changedArguments(storageMigrationArgs, olds, news);
    const unfinished = Object.values(movesIn(olds)).some(({ status }) => isUnfinished(status));
    const replaces = placeChanged(olds, news);
    if (replaces.length === 0 && (changed.length > 0 || unfinished)) tellPlan(olds, news, run);
    return { changes: changed.length > 0 ? undefined : unfinished, replaces };
  },

  async create(inputs, run) {
    const settings = settingsIn(storageMigrationArgs, inputs);
    const site = await siteOf(settings, run);
    const disks = settings.disks ?? (await allImages(site));
    return arrive(site, disks, { inputs, declared: settings.destination, known: {} });
  },

  async read(id, state, run) {
    const outputs = asWrittenNow(state);
    const settings = settingsIn(storageMigrationState, asDeclared(shownArguments, outputs));
    const inputs: Properties = { ...settings }; // with the defaults of what an older version did not know
    const lastSeen = { ...inputs, destination: outputs.destination };
    const site = await siteOf(settings, run);
    const known = movesIn(outputs);
    try {
      const disks = Object.keys(known).length > 0 ? Object.keys(known) : (settings.disks ?? (await allImages(site)));
      return await reconciled(site, id, inputs, await observeForReport(site, disks), known);
    } catch (thrown) {
      if (thrown instanceof DomainMissing) {
        const seen = await seenElsewhere(site, outputs, placesOf(settings, known));
        return seen ? { id, inputs: lastSeen, outputs: seen } : gone;
      }
      if ((await guestIsSilent(site, thrown)) === "host-is-silent") throw thrown;
      run.say("warning", `${messageOf(thrown)} What is shown is what was last seen.`);
      return { id, inputs: lastSeen, outputs: { ...outputs, running: thrown instanceof GuestNotRunning ? false : outputs.running } };
    }
  },

  async update(id, olds, news, run) {
    const settings = settingsIn(storageMigrationArgs, news);
    const before = asDeclared(shownArguments, olds);
    // disks in several places that the engine hands back stay there; what was declared of them still says which are away
    const declared = isSeveralPlaces(settings.destination) ? String(before.destination) : settings.destination;
    const known = movesIn(olds);
    const left = { domainId: String(olds.domainId), directories: placesOf(settings, known) };
    const site = { ...(await siteOf({ ...settings, destination: declared }, run)), left };
    const disks = settings.disks ?? (Object.keys(known).length > 0 ? Object.keys(known) : await allImages(site));
    const dropped = Object.keys(known).filter((disk) => !disks.includes(disk));
    if (dropped.length > 0) await withdraw(site, dropped);
    if (isOnlyReported(settings, before, disks)) {
      return { outputs: { ...news, ...outputsOf(await observe(site, disks), known), ...declaredAs(declared) } };
    }
    const { outputs } = await arrive(site, disks, { inputs: news, declared, known, id });
    return { outputs };
  },

  async delete(_id, outputs, run) {
    const settings = settingsIn(storageMigrationState, asDeclared(shownArguments, outputs));
    const moves = movesIn(outputs);
    const left = { domainId: String(outputs.domainId), directories: placesOf(settings, moves) };
    const site = { ...(await siteOf(settings, run)), left };
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
  const before = asDeclared(shownArguments, olds);
  const { destination, disks = Object.keys(moves), domain } = news;
  const options = argumentsOf(moveOptions, news);
  if (typeof destination !== "string" || isUnknown([destination, disks, options]) || !isListOfText(disks)) return;
  if (typeof domain === "string") return; // not known yet, and with it who moves the disks
  const stay = isSeveralPlaces(destination);
  const line = planLine({
    disks: stay || isOnlyReported(news, before, disks) ? [] : disks.map((disk) => ({ disk, seen: moves[disk] })),
    dropped: Object.keys(moves).filter((disk) => !disks.includes(disk)),
    before: typeof before.destination === "string" ? before.destination : undefined,
    destination,
    options: moveOptions.safeParse(options).data ?? defaultMoveOptions,
    by: isManaged(domain) ? "libvirt" : "qemu",
  });
  const ended = stay ? disks.flatMap((disk) => (moves[disk] ? [endingLine(disk, moves[disk])] : [])) : [];
  for (const told of [...ended, line]) if (told !== undefined) run.say("info", told);
}

function isListOfText(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}

/** Where a move of the disks may have left its manifests. */
function placesOf({ destination }: StorageMigrationSettings, moves: Moves): string[] {
  const wanted = isSeveralPlaces(destination) ? [] : [destination];
  return [...wanted, ...Object.values(moves).map(({ bootPath }) => directoryOf(bootPath))];
}

function siteOf(settings: StorageMigrationSettings, run: Run): Promise<Site> {
  const { host, domain, destination } = settings;
  const options = moveOptions.parse(argumentsOf(moveOptions, settings));
  return openSite({ host, domain, destination: isSeveralPlaces(destination) ? undefined : destination, options }, run);
}

interface Arrival {
  inputs: Properties;
  /** The destination that the state remembers as declared. */
  declared: string;
  known: Moves;
  id?: string;
}

async function arrive(site: Site, disks: readonly string[], { inputs, declared, known, id }: Arrival) {
  try {
    const { seen, outcome } = await converge(...goalOf(site, disks, inputs));
    const now = isSeveralPlaces(inputs.destination) ? await observe(site, disks) : seen;
    return { id: id ?? now.view.domainId, outputs: { ...inputs, ...outputsOf(now, known, outcome), ...declaredAs(declared) } };
  } catch (thrown) {
    if (!(thrown instanceof HalfWay)) throw thrown;
    const { seen, recorded, outcome, cause } = thrown;
    const domainId = seen?.view.domainId ?? recorded[0]?.domainId;
    const outputs = seen ? outputsOf(seen, known, outcome) : { moves: known, domainId };
    throw new Unfinished(id ?? domainId ?? "unfinished", { ...inputs, ...outputs, ...declaredAs(declared) }, cause);
  }
}

/** Disks in several places, as `read` showed them, stay there: what was begun of a move only ends. */
function goalOf(site: Site, disks: readonly string[], { destination }: Properties): Parameters<typeof converge> {
  const { destination: _, ...anywhere } = site;
  return isSeveralPlaces(destination) ? [anywhere, disks, "withdraw"] : [site, disks, "arrive"];
}

/** For disks that are ours no more: what was begun ends, undone before its switch, finished after it. */
async function withdraw(site: Site, disks: readonly string[]): Promise<void> {
  if (disks.length === 0) return;
  const { destination: _, ...anywhere } = site;
  await converge(anywhere, disks, "withdraw");
  await release(anywhere, disks);
}

/** The inputs as they are in reality: where a disk is not at its destination, the places of all. */
async function reconciled(site: Site, id: string, inputs: Properties, seen: Seen, known: Moves) {
  const outputs = { ...inputs, ...outputsOf(seen, known), ...declaredOutput(shownArguments, inputs) };
  const strayed = seen.disks.find((disk) => disk.seen.phase === "idle");
  if (!strayed) return { id, inputs, outputs };
  if (inputs.onDrift === "correct") {
    return { id, inputs: { ...inputs, destination: await shownPlaces(site.host, seen, site.destination) }, outputs };
  }
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

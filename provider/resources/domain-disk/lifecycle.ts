/** `DomainDisk` in the provider process: parse, converge, tell. */

import { z } from "zod";
import { changedArguments, checkArguments, isUnknown, settingsIn, surelyDiffer } from "../../core/arguments.js";
import { directoryOf } from "../../core/disk/paths.js";
import { BugError, messageOf } from "../../core/errors.js";
import { gone, type Lifecycle, type Properties, type Run, Unfinished } from "../../core/lifecycle.js";
import { converge, guestIsSilent, HalfWay, release } from "../../flows/move/converge.js";
import { nothingLeftOnHost } from "../../flows/move/leftover.js";
import { withPlacesLocked } from "../../flows/move/locked.js";
import { asDeclared, declaredOutput } from "../../flows/move/look/declared.js";
import { observe } from "../../flows/move/look/observe.js";
import { observeForReport } from "../../flows/move/look/report-look.js";
import { seenElsewhere } from "../../flows/move/missing.js";
import { openSite } from "../../flows/move/open.js";
import { chainAfter, endingLine, planLine } from "../../flows/move/plan-line.js";
import { bootPathOf, driftOf, isUnfinished } from "../../flows/move/report.js";
import { isPulling, settleBase } from "../../flows/pull/flow.js";
import { observeBase } from "../../flows/pull/observe.js";
import { pullLine } from "../../flows/pull/plan.js";
import { chainReport, type LayerReport } from "../../flows/shared/chain-report.js";
import { defaultMoveOptions } from "../../flows/shared/options.js";
import type { PhaseName } from "../../flows/shared/phase.js";
import type { Seen, Site } from "../../flows/shared/site.js";
import { isManaged, placeChanged } from "../../hypervisor/address.js";
import { DomainMissing, GuestNotRunning, shutOff } from "../../hypervisor/hypervisor.js";
import { type DomainDiskSettings, domainDiskArgs } from "./resource.js";

export const domainDisk: Lifecycle = {
  check: (_olds, news) => checkArguments(domainDiskArgs, news),

  diff(_id, olds, news, run) {
    const changed = changedArguments(domainDiskArgs, olds, news);
    const { phase } = shown.safeParse(olds).data ?? {};
    const unfinished = phase !== undefined && isUnfinished(phase);
    const replaces = [...placeChanged(olds, news), ...(surelyDiffer(olds.disk, news.disk) ? ["disk"] : [])];
    if (replaces.length === 0 && (changed.length > 0 || unfinished)) tellPlan(olds, news, run);
    return { changes: changed.length > 0 ? undefined : unfinished, replaces };
  },

  async create(inputs, run) {
    return settle(settingsIn(domainDiskArgs, inputs), { news: inputs }, run);
  },

  async read(id, outputs, run) {
    const settings = settingsIn(domainDiskArgs, asDeclared(shownArguments, outputs));
    const inputs: Properties = { ...settings }; // with the defaults of what an older version did not know
    const lastSeen = { ...inputs, storage: outputs.storage, base: outputs.base };
    const site = await siteOf(settings, run);
    try {
      const seen = await observeForReport(site, [settings.disk]);
      const strayed = seen.disks.find((disk) => disk.seen.phase === "idle");
      const place = strayed ? { storage: strayed.active.directory } : {};
      const now = { ...inputs, ...place, ...(await baseAsItIs(site, settings, seen)) };
      return { id, inputs: now, outputs: { ...outputsOf(seen), ...declaredOutput(shownArguments, inputs) } };
    } catch (thrown) {
      if (thrown instanceof DomainMissing) {
        const seen = await seenElsewhere(site, outputs, placesOf(settings, outputs));
        return seen ? { id, inputs: lastSeen, outputs: seen } : gone;
      }
      if ((await guestIsSilent(site, thrown)) === "host-is-silent") throw thrown;
      run.say("warning", `${messageOf(thrown)} What is shown is what was last seen.`);
      return { id, inputs: lastSeen, outputs: { ...outputs, running: thrown instanceof GuestNotRunning ? false : outputs.running } };
    }
  },

  async update(id, olds, news, run) {
    return settle(settingsIn(domainDiskArgs, news), { news, olds }, run, id);
  },

  async delete(_id, outputs, run) {
    const settings = settingsIn(domainDiskArgs, asDeclared(shownArguments, outputs));
    const { destination: _, ...site } = await siteOf(settings, run, outputs);
    try {
      await converge(site, [settings.disk], "withdraw");
      await settleBase(site, { disk: settings.disk, base: undefined }, withPlacesLocked);
      await release(site, [settings.disk]);
    } catch (thrown) {
      if ((await guestIsSilent(site, thrown)) === "host-is-silent") throw thrown;
      await nothingLeftOnHost(site, String(outputs.domainId), placesOf(settings, outputs), thrown);
    }
  },
};

/** Arguments that read shows as they are, whatever was declared. */
const shownArguments = ["storage", "base"];

/** The move first, then the pull in the chain as the move leaves it. Nothing is said of what only the update will tell. */
function tellPlan(olds: Properties, news: Properties, run: Run): void {
  const { chain, phase = "settled" } = shown.safeParse(olds).data ?? {};
  const { disk, storage, base } = news;
  if (!chain || typeof disk !== "string" || isUnknown([disk, storage, base]) || typeof news.domain === "string") return;
  const declared = asDeclared(shownArguments, olds).storage;
  const before = typeof declared === "string" ? declared : undefined;
  const by = isManaged(news.domain) ? "libvirt" : "qemu";
  const move =
    typeof storage === "string"
      ? planLine({ disks: [{ disk, seen: { phase, chain } }], before, destination: storage, options: defaultMoveOptions, by })
      : endingLine(disk, phase);
  if (move !== undefined) run.say("info", move);
  const moved = typeof storage === "string" && move !== undefined ? chainAfter(chain, storage) : chain;
  const pull = typeof base === "string" ? pullLine(disk, moved, base) : undefined;
  if (pull !== undefined) run.say("info", pull);
}

/** Where a move of the disk may have left its manifest. */
function placesOf({ storage }: DomainDiskSettings, outputs: Properties): string[] {
  const boot = shown.safeParse(outputs).data?.bootPath;
  return [...(storage === undefined ? [] : [storage]), ...(boot === undefined ? [] : [directoryOf(boot)])];
}

async function siteOf(settings: DomainDiskSettings, run: Run, outputs: Properties = {}): Promise<Site> {
  const { host, domain, storage } = settings;
  const site = await openSite({ host, domain, destination: storage, options: defaultMoveOptions }, run);
  const { domainId } = outputs;
  return typeof domainId === "string" ? { ...site, left: { domainId, directories: placesOf(settings, outputs) } } : site;
}

/** Without `storage` the disk is only adopted; what an earlier declaration began is brought to an end. */
async function settle(settings: DomainDiskSettings, { news, olds = {} }: { news: Properties; olds?: Properties }, run: Run, id?: string) {
  const inputs = { ...news, ...declaredOutput(shownArguments, news) };
  const site = await siteOf(settings, run, olds);
  try {
    const { seen } = await converge(site, [settings.disk], settings.storage === undefined ? "withdraw" : "arrive");
    return await withBase(site, settings, { id: id ?? idOf(seen), outputs: { ...inputs, ...outputsOf(seen) } });
  } catch (thrown) {
    if (!(thrown instanceof HalfWay)) throw thrown;
    const { seen, recorded, cause } = thrown;
    const [found] = recorded;
    const known = seen ? outputsOf(seen) : found ? { bootPath: found.current, domainId: found.domainId } : {};
    const identity = seen ? idOf(seen) : found ? `${found.domainId}/${found.qdev}` : "unfinished";
    throw new Unfinished(id ?? identity, { ...inputs, ...known }, cause);
  }
}

/** The chain is shortened once the disk is where it shall be. */
async function withBase(site: Site, { disk, base }: DomainDiskSettings, settled: { id: string; outputs: Properties }) {
  const { destination: _, ...here } = site;
  const { id, outputs } = settled;
  try {
    await settleBase(here, { disk, base }, withPlacesLocked);
  } catch (thrown) {
    const begun = await isPulling(here, disk).catch(() => true);
    throw begun && thrown instanceof Error ? new Unfinished(id, outputs, thrown) : thrown;
  }
  return base === undefined ? settled : { id, outputs: { ...outputs, ...outputsOf(await observe(site, [disk])) } };
}

/** The layer that is right below the active image, where it is not the declared one. */
async function baseAsItIs(site: Site, { base }: DomainDiskSettings, { disks: [disk] }: Seen): Promise<Properties> {
  if (base === undefined || !disk) return {};
  const { is, found } = await observeBase(site.host, disk, base);
  return is === "declared" ? {} : { base: found };
}

/** `<domain id>/<qdev>`: the same disk has the same id, whatever the user calls it. */
function idOf({ view, disks }: Seen): string {
  const [disk] = disks;
  if (!disk) throw new BugError("A DomainDisk was looked at and has no disk.");
  return `${view.domainId}/${disk.qdev}`;
}

function outputsOf({ view, disks }: Seen): Properties {
  const [disk] = disks;
  if (!disk) return {};
  return {
    bootPath: bootPathOf(disk),
    running: view.status !== shutOff,
    chain: chainReport(disk.image.chain),
    domainId: view.domainId,
    phase: disk.seen.phase,
    drift: driftOf(disk, "it"),
  };
}

/** What of the state is read again; states of older versions, and `{}`, say nothing. */
const shown = z.object({
  bootPath: z.string().optional(),
  chain: z.custom<LayerReport[]>(Array.isArray).optional(),
  phase: z.custom<PhaseName>((phase) => typeof phase === "string").optional(),
});

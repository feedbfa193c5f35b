/** `DomainDisk` in the provider process: parse, converge, tell. */

import { changedArguments, checkArguments, settingsIn, surelyDiffer } from "../../core/arguments.js";
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
import { bootPathOf, driftOf } from "../../flows/move/report.js";
import { isPulling, settleBase } from "../../flows/pull/flow.js";
import { observeBase, pullStatus } from "../../flows/pull/observe.js";
import { chainReport } from "../../flows/shared/chain-report.js";
import { defaultMoveOptions } from "../../flows/shared/options.js";
import type { Seen, Site } from "../../flows/shared/site.js";
import { type DiskStatus, isUnfinished, statusOf } from "../../flows/shared/status.js";
import { placeChanged } from "../../hypervisor/address.js";
import { DomainMissing, GuestNotRunning, shutOff } from "../../hypervisor/hypervisor.js";
import { tellPlan } from "./preview.js";
import { type DomainDiskSettings, domainDiskArgs } from "./resource.js";
import { asWrittenNow, shownArguments, shownIn } from "./state.js";

export const domainDisk: Lifecycle = {
  check: (_olds, news) => checkArguments(domainDiskArgs, news),

  diff(_id, olds, news, run) {
    const changed = changedArguments(domainDiskArgs, olds, news);
    const { status } = shownIn(olds);
    const unfinished = status !== undefined && isUnfinished(status);
    const replaces = [...placeChanged(olds, news), ...(surelyDiffer(olds.disk, news.disk) ? ["disk"] : [])];
    if (replaces.length === 0 && (changed.length > 0 || unfinished)) tellPlan(olds, news, run);
    return { changes: changed.length > 0 ? undefined : unfinished, replaces };
  },

  async create(inputs, run) {
    return settle(settingsIn(domainDiskArgs, inputs), { news: inputs }, run);
  },

  async read(id, state, run) {
    const outputs = asWrittenNow(state);
    const settings = settingsIn(domainDiskArgs, asDeclared(shownArguments, outputs));
    const inputs: Properties = { ...settings }; // with the defaults of what an older version did not know
    const lastSeen = { ...inputs, storage: outputs.storage, base: outputs.base };
    const site = await siteOf(settings, run);
    try {
      const seen = await observeForReport(site, [settings.disk]);
      const strayed = seen.disks.find((disk) => disk.seen.phase === "idle");
      const place = strayed ? { storage: strayed.active.directory } : {};
      const { status, ...base } = await baseAsItIs(site, settings, seen);
      const shown = { ...outputsOf(seen), ...(status !== undefined && { status }), ...declaredOutput(shownArguments, inputs) };
      return { id, inputs: { ...inputs, ...place, ...base }, outputs: shown };
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

/** Where a move of the disk may have left its manifest. */
function placesOf({ storage }: DomainDiskSettings, outputs: Properties): string[] {
  const boot = shownIn(outputs).bootPath;
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
    if (!begun || !(thrown instanceof Error)) throw thrown;
    const status = await pullStatus(here, disk, base).catch(() => "needs-attention" as const);
    throw new Unfinished(id, { ...outputs, status }, thrown);
  }
  return base === undefined ? settled : { id, outputs: { ...outputs, ...outputsOf(await observe(site, [disk])) } };
}

interface ShownBase {
  base?: string | undefined;
  status?: DiskStatus;
}

/** Where another layer than the declared one is right below the active image: which one, and whether it is being pulled up. */
async function baseAsItIs(site: Site, { base }: DomainDiskSettings, { disks: [disk] }: Seen): Promise<ShownBase> {
  if (base === undefined || !disk) return {};
  const { is, found } = await observeBase(site.host, disk, base);
  if (is === "declared") return {};
  if (statusOf(disk) !== "settled") return { base: found };
  // what was seen is shown also where this cannot be asked
  const status = await pullStatus(site, disk.disk, base).catch(() => "elsewhere" as const);
  return { base: found, status };
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
    status: statusOf(disk),
    phase: disk.seen.phase,
    drift: driftOf(disk, "it"),
  };
}

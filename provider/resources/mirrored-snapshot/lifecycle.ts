/** `MirroredSnapshot` in the provider process: parse, settle, tell. */

import { argumentsOf, changedArguments, checkArguments, isUnknown, settingsIn, surelyDiffer } from "../../core/arguments.js";
import { directoryOf } from "../../core/disk/paths.js";
import { isEqual } from "../../core/equal.js";
import { messageOf, UserError } from "../../core/errors.js";
import type { Lifecycle, Properties, Run } from "../../core/lifecycle.js";
import { end, make, snapshotLeftOnHost } from "../../flows/mirrored-snapshot/conduct.js";
import { observe } from "../../flows/mirrored-snapshot/observe.js";
import { snapshotLine } from "../../flows/mirrored-snapshot/plan-line.js";
import { outputsOf } from "../../flows/mirrored-snapshot/report.js";
import type { SnapshotSite } from "../../flows/mirrored-snapshot/site.js";
import { guestIsSilent } from "../../flows/move/converge.js";
import { openSite } from "../../flows/move/open.js";
import { moveOptions } from "../../flows/shared/options.js";
import { placeChanged } from "../../hypervisor/address.js";
import { GuestNotRunning } from "../../hypervisor/hypervisor.js";
import { disksOf, type MirroredSnapshotSettings, mirroredSnapshotArgs } from "./resource.js";
import { asWrittenNow, statesIn } from "./state.js";

export const mirroredSnapshot: Lifecycle = {
  check: (_olds, news) => checkArguments(mirroredSnapshotArgs, news),

  diff(_id, olds, news, run) {
    refuseOtherChanges(olds, news);
    const changed = changedArguments(mirroredSnapshotArgs, olds, news);
    const unfinished = Object.values(statesIn(olds)).some(({ status }) => status !== "settled");
    if (changed.length > 0 || unfinished) tellPlan(olds, news, changed, run);
    return { changes: changed.length > 0 ? undefined : unfinished, replaces: [] };
  },

  async create(inputs, run) {
    return make(await siteOf(settingsIn(mirroredSnapshotArgs, inputs), run), inputs);
  },

  async read(id, state, run) {
    const outputs = asWrittenNow(state);
    const settings = settingsIn(mirroredSnapshotArgs, outputs);
    const inputs: Properties = { ...settings }; // with the defaults of what an older version did not know
    const site = await siteOf(settings, run);
    try {
      return { id, inputs, outputs: { ...inputs, ...outputsOf(site, await observe(site)) } };
    } catch (thrown) {
      if ((await guestIsSilent(site, thrown)) === "host-is-silent") throw thrown;
      run.say("warning", `${messageOf(thrown)} What is shown is what was last seen.`);
      return { id, inputs, outputs: { ...outputs, running: thrown instanceof GuestNotRunning ? false : outputs.running } };
    }
  },

  async update(id, olds, news, run) {
    if (onlyEndingChanges(olds, news)) return { outputs: { ...asWrittenNow(olds), onDelete: undefined, ...news } };
    const { outputs } = await make(await siteOf(settingsIn(mirroredSnapshotArgs, news), run, olds), news, id);
    return { outputs };
  },

  async delete(_id, outputs, run) {
    const settings = settingsIn(mirroredSnapshotArgs, outputs);
    const { onDelete } = settings;
    if (onDelete === undefined) throw withoutEnding(settings);
    const site = await siteOf(settings, run, outputs);
    try {
      await end(site, onDelete);
    } catch (thrown) {
      if ((await guestIsSilent(site, thrown)) === "silent" && thrown instanceof GuestNotRunning) {
        return snapshotLeftOnHost(site, String(outputs.domainId));
      }
      throw thrown;
    }
  },
};

/** Nothing is said of what only the update will tell. */
function tellPlan(olds: Properties, news: Properties, changed: readonly string[], run: Run): void {
  const args = argumentsOf(mirroredSnapshotArgs, news);
  if (isUnknown([args.disks, args.diskspecs, args.onDelete])) return;
  const settings = mirroredSnapshotArgs.safeParse(args).data;
  const states = statesIn(olds);
  const lines = settings && disksOf(settings).map((disk) => snapshotLine(disk, states[disk.disk], changed, settings.onDelete));
  const said = lines?.filter((line) => line !== undefined) ?? [];
  if (said.length > 0) run.say("info", `plan: ${said.join("; ")}`);
}

async function siteOf(settings: MirroredSnapshotSettings, run: Run, state: Properties = {}): Promise<SnapshotSite> {
  const { host, domain, reuseExternal } = settings;
  const options = moveOptions.parse(argumentsOf(moveOptions, settings));
  const disks = disksOf(settings);
  const directories = disks.flatMap(({ file, mirror }) => [directoryOf(file), directoryOf(mirror)]);
  const left = typeof state.domainId === "string" ? { left: { domainId: state.domainId, directories } } : {};
  return { ...(await openSite({ host, domain, options }, run)), disks, reuseExternal, ...left };
}

/**
 * Anything but `onDelete`, and how one signs in, would need a replacement; and that would end the snapshot by the way that onDelete says:
 * a pivot onto a half-made copy.
 */
function refuseOtherChanges(olds: Properties, news: Properties): void {
  if (olds.domain === undefined) return; // a state that says nothing
  const before = checkArguments(mirroredSnapshotArgs, argumentsOf(mirroredSnapshotArgs, olds)).inputs;
  const place = placeChanged(before, news);
  const isSure = (key: string) => !isUnknown(news[key]) || surelyDiffer(before[key], news[key]);
  const changed = changedArguments(mirroredSnapshotArgs, before, news).filter((key) => key !== "onDelete" && isSure(key));
  const fixed = changed.filter((key) => (key === "host" ? place.includes(key) : !isSameDisks(key, before, news)));
  if (fixed.length === 0) return;
  throw new UserError(
    `Unable to change ${fixed.join(", ")} of a mirrored snapshot: end this snapshot first. Nothing was touched. ` +
      "Set onDelete and delete it, then make another; only onDelete changes while it lasts.",
  );
}

/** Then nothing is to be done on the host, so that a guest that is stopped does not stand in the way. */
function onlyEndingChanges(olds: Properties, news: Properties): boolean {
  const states = Object.values(statesIn(olds));
  const settled = states.length > 0 && states.every(({ status }) => status === "settled");
  const changed = changedArguments(mirroredSnapshotArgs, olds, news);
  return settled && changed.length > 0 && changed.every((key) => key === "onDelete");
}

/** The same disks may be said by `disks` or by `diskspecs`. */
function isSameDisks(key: string, before: Properties, news: Properties): boolean {
  if (key !== "disks" && key !== "diskspecs") return false;
  const [one, other] = [before, news].map((bag) => mirroredSnapshotArgs.safeParse(argumentsOf(mirroredSnapshotArgs, bag)).data);
  return one !== undefined && other !== undefined && isEqual(disksOf(one), disksOf(other));
}

function withoutEnding(settings: MirroredSnapshotSettings): UserError {
  const names = disksOf(settings)
    .map(({ disk }) => disk)
    .join(", ");
  return new UserError(
    `Unable to delete the mirrored snapshot of ${names}: it can be deleted only with one of pivot and abort (invalid argument), and onDelete names neither. ` +
      'Nothing was touched. Set onDelete to "pivot" or "abort", run `pulumi up`, then delete it.',
  );
}

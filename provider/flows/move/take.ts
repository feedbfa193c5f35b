/** What each step of a move does. */

import { BugError } from "../../core/errors.js";
import type { Run } from "../../core/lifecycle.js";
import { type Deeds, diskNamed, disksNamed } from "../../reconciler/flow.js";
import type { HeldPlaces } from "../../reconciler/held-places.js";
import { complaint } from "../shared/complaint.js";
import type { Outcome } from "../shared/outcome.js";
import type { Seen, SeenDisk, Site } from "../shared/site.js";
import { finalize } from "../shared/switch.js";
import { endSwitch } from "./end-switch.js";
import type { MoveJobs } from "./jobs.js";
import { settleDefinition } from "./managed/definition.js";
import { withDefinitionWatched } from "./managed/definition-watch.js";
import { letGoOrWait } from "./managed/suspended.js";
import type { Goal, Step } from "./plan.js";
import { begin, recordDestination } from "./steps/begin.js";
import { jobsOf, manifestOf, written } from "./steps/chosen.js";
import { copyOne } from "./steps/copying.js";
import { clear, setBack, tidy } from "./steps/endings.js";
import { collapse, fold, freeze, recordFrozen } from "./steps/freezing.js";
import { startMirror } from "./steps/mirroring.js";
import type { SourceSpace } from "./steps/source-space.js";
import { switchTo } from "./switching.js";

/** What the steps of a move need besides what was observed. */
export interface MoveTools {
  site: Site;
  outcome: Outcome;
  jobs: MoveJobs;
  space: SourceSpace;
  places: HeldPlaces;
  /** What is wanted by now. */
  aim: () => Goal;
}

export const deeds: Deeds<MoveTools, Seen, Step> = {
  stop: async ({ site }, _, { disk, why }) => {
    throw complaint(site, { verb: "go on with the move of", disk, why, advice: "Then run again." });
  },
  begin: ({ site }, seen, { disks }) => begin(bound(site), seen, disksNamed(seen, disks)),
  "record-destination": ({ site }, seen, { disk }) => recordDestination(site, diskNamed(seen, disk), manifestOf(diskNamed(seen, disk))),
  freeze: ({ site }, seen, { disks }) => freeze(site, seen, disksNamed(seen, disks).map(written)),
  "record-frozen": ({ site }, seen, { disk }) => recordFrozen(site, written(diskNamed(seen, disk))),
  copy,
  "start-mirror": ({ site }, seen, { disk }) => startMirror(site, seen, diskNamed(seen, disk), manifestOf(diskNamed(seen, disk))),
  collapse: ({ site }, seen, { disk }) => collapse(site, seen, written(diskNamed(seen, disk))),
  fold: ({ site }, seen, { disk }) => fold(site, seen, written(diskNamed(seen, disk))),
  continue: ({ jobs }, seen, { disk }) => jobs.resumeOnce(diskNamed(seen, disk)),
  wait: ({ jobs }, seen, { disks }) => jobs.wait(disksNamed(seen, disks)),
  pivot: (tools, seen, { disks }) => switchTo("target", { ...tools, seen }, disks),
  "switch-collapsed": (tools, seen, { disks }) => switchTo("landing", { ...tools, seen }, disks),
  "switch-folded": (tools, seen, { disks }) => switchTo("former", { ...tools, seen }, disks),
  "end-switch": ({ site }, seen, { disks }) => endSwitch(site, seen, disksNamed(seen, disks)),
  "let-go": ({ site }, seen, { disks }) => finalize(site, jobsOf(disksNamed(seen, disks))),
  cancel: async ({ site, jobs }, seen, { disks }) => {
    for (const disk of disksNamed(seen, disks)) if (disk.seen.phase === "pending") await setBack(site, disk, manifestOf(disk));
    await jobs.cancel(disksNamed(seen, disks));
  },
  dismiss: ({ jobs }, seen, { disk }) => jobs.dismiss(diskNamed(seen, disk)),
  "set-back": ({ site }, seen, { disk }) => setBack(site, diskNamed(seen, disk), manifestOf(diskNamed(seen, disk))),
  redefine: async ({ site }, seen, { disk }) => site.guest.redefine(diskNamed(seen, disk).qdev, diskNamed(seen, disk).image.chain[0]),
  resume: ({ site, jobs }, seen, { disks }) => letGoOrWait(site, disks, () => jobs.wait(disksNamed(seen, disks))),
  tidy: async (tools, seen, { disk: name }) => {
    const { site, outcome, aim } = tools;
    const disk = diskNamed(seen, name);
    await settleDefinition(tools, disk, manifestOf(disk));
    const isDone = aim() === "withdraw" || disk.heading === "wanted";
    await tidy(site, seen, written(disk), outcome, isDone ? removeLastWithLocks(tools, disk) : undefined);
  },
  clear: (tools, seen, { disk: name }) => {
    const { site, aim } = tools;
    const disk = diskNamed(seen, name);
    return clear(site, seen, written(disk), aim() === "withdraw" ? removeLastWithLocks(tools, disk) : undefined);
  },
};

/** Removes the last manifest of a disk together with its locks. */
function removeLastWithLocks({ places }: MoveTools, { key }: SeenDisk): (manifest: string) => Promise<void> {
  return (manifest) => places.giveBackWith(manifest, key);
}

async function copy(
  { site, space, places, outcome }: MoveTools,
  seen: Seen,
  { disk, layer }: Extract<Step, { step: "copy" }>,
): Promise<void> {
  const { run } = site;
  const stop = AbortSignal.any([run.stop, space.low]);
  const told: Run = { ...run, progress: (text) => run.progress(text), say: (severity, text) => run.say(severity, text), stop };
  try {
    const work = () => copyOne({ ...site, run: told }, written(diskNamed(seen, disk)), layer, outcome);
    const watched = { guest: site.guest, world: run.world, seen, check: () => places.check() };
    await space.during(seen, () => withDefinitionWatched(watched, work));
  } catch (thrown) {
    if (!space.reason) throw thrown; // else the next step undoes
  }
}

function bound(site: Site): Site & { destination: string } {
  const { destination } = site;
  if (destination === undefined) throw new BugError("A move was begun that goes nowhere.");
  return { ...site, destination };
}

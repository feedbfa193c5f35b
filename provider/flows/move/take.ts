/** What each step of a move does. */

import { BugError } from "../../core/errors.js";
import type { Run } from "../../core/lifecycle.js";
import { complaint } from "../shared/complaint.js";
import type { HeldPlaces } from "../shared/held-places.js";
import type { Outcome } from "../shared/outcome.js";
import type { Seen, SeenDisk, Site } from "../shared/site.js";
import { finalize } from "../shared/switch.js";
import { endSwitch } from "./end-switch.js";
import { withDefinitionWatched } from "./managed/definition-watch.js";
import { collapseManaged, foldManaged, freezeManaged } from "./managed/freezing.js";
import { settleDefinition, startManagedCopy } from "./managed/mirror.js";
import type { Goal, Step } from "./plan.js";
import { begin, recordDestination } from "./steps/begin.js";
import { jobsOf, manifestOf, of, one, written } from "./steps/chosen.js";
import { copyOne } from "./steps/copying.js";
import { clear, setBack, tidy } from "./steps/endings.js";
import { collapse, fold, freeze, recordFrozen } from "./steps/freezing.js";
import { startMirror } from "./steps/mirroring.js";
import type { SourceSpace } from "./steps/source-space.js";
import { switchTo } from "./switching.js";
import type { Tending } from "./tending.js";

/** What a step is taken with. */
export interface Taking {
  site: Site;
  seen: Seen;
  outcome: Outcome;
  tending: Tending;
  space: SourceSpace;
  places: HeldPlaces;
  /** What is wanted by now. */
  aim: Goal;
}

type Name = Exclude<Step["step"], "done">;
type Deed<N extends Name> = (to: Taking, step: Extract<Step, { step: N }>) => Promise<unknown>;

const deeds: { readonly [N in Name]: Deed<N> } = {
  stop: async ({ site }, { disk, why }) => {
    throw complaint(site, { verb: "go on with the move of", disk, why, advice: "Then run again." });
  },
  begin: ({ site, seen }, { disks }) => begin(bound(site), seen, of(seen, disks)),
  "record-destination": ({ site, seen }, { disk }) => recordDestination(site, one(seen, disk), manifestOf(one(seen, disk))),
  freeze: ({ site, seen }, { disks }) => {
    const { managed } = site.guest;
    const frozen = of(seen, disks).map(written);
    return managed ? freezeManaged(site, managed, frozen) : freeze(site, frozen);
  },
  "record-frozen": ({ site, seen }, { disk }) => recordFrozen(site, written(one(seen, disk))),
  copy,
  "start-mirror": ({ site, seen }, { disk }) => {
    const { managed } = site.guest;
    const mirrored = one(seen, disk);
    return managed
      ? startManagedCopy(site, managed, mirrored, manifestOf(mirrored))
      : startMirror(site, seen, mirrored, manifestOf(mirrored));
  },
  collapse: ({ site, seen }, { disk }) => {
    const { managed } = site.guest;
    return managed ? collapseManaged(site, managed, written(one(seen, disk))) : collapse(site, seen, written(one(seen, disk)));
  },
  fold: ({ site, seen }, { disk }) => {
    const { managed } = site.guest;
    return managed ? foldManaged(site, managed, written(one(seen, disk))) : fold(site, seen, written(one(seen, disk)));
  },
  continue: ({ seen, tending }, { disk }) => tending.goOnOnce(one(seen, disk)),
  wait: ({ seen, tending }, { disks }) => tending.wait(of(seen, disks)),
  pivot: (to, { disks }) => switchTo("target", to, disks),
  "switch-collapsed": (to, { disks }) => switchTo("landing", to, disks),
  "switch-folded": (to, { disks }) => switchTo("former", to, disks),
  "end-switch": ({ site, seen }, { disks }) => endSwitch(site, seen, of(seen, disks)),
  "let-go": ({ site, seen }, { disks }) => finalize(site, jobsOf(of(seen, disks))),
  cancel: ({ seen, tending }, { disks }) => tending.cancel(of(seen, disks)),
  dismiss: ({ seen, tending }, { disk }) => tending.dismiss(one(seen, disk)),
  "set-back": ({ site, seen }, { disk }) => setBack(site, one(seen, disk), manifestOf(one(seen, disk))),
  redefine: async ({ site, seen }, { disk }) => site.guest.managed?.redefine(one(seen, disk).qdev, one(seen, disk).image.chain[0]),
  tidy: async (to, { disk: name }) => {
    const { site, seen, outcome, aim } = to;
    const disk = one(seen, name);
    await settleDefinition(site, disk, manifestOf(disk), outcome);
    const isDone = aim === "withdraw" || disk.heading === "wanted";
    await tidy(site, seen, written(disk), outcome, isDone ? removeLastWithLocks(to, disk) : undefined);
  },
  clear: (to, { disk: name }) => {
    const { site, seen, aim } = to;
    const disk = one(seen, name);
    return clear(site, seen, written(disk), aim === "withdraw" ? removeLastWithLocks(to, disk) : undefined);
  },
};

export async function take(to: Taking, step: Exclude<Step, { step: "done" }>): Promise<void> {
  const deed = deeds[step.step] as Deed<Name>; // they go together by their name, which the compiler cannot see
  await deed(to, step);
}

/** Removes the last manifest of a disk together with its locks. */
function removeLastWithLocks({ places }: Taking, { key }: SeenDisk): (manifest: string) => Promise<void> {
  return (manifest) => places.giveBackWith(manifest, key);
}

async function copy({ site, seen, space, places, outcome }: Taking, { disk, layer }: Extract<Step, { step: "copy" }>): Promise<void> {
  const { run } = site;
  const stop = AbortSignal.any([run.stop, space.low]);
  const told: Run = { ...run, progress: (text) => run.progress(text), say: (severity, text) => run.say(severity, text), stop };
  try {
    const work = () => copyOne({ ...site, run: told }, written(one(seen, disk)), layer, outcome);
    const watched = { guest: site.guest, seen, check: () => places.check() };
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

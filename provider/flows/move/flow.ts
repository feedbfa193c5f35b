/** A move as data for the one loop: of the move, of its resuming and of its undoing. */

import { suspendedNow } from "../../hypervisor/hypervisor.js";
import { diskNamed, disksNamed, disksOf, type Flow } from "../../reconciler/flow.js";
import type { HeldPlaces } from "../../reconciler/held-places.js";
import { reconcile } from "../../reconciler/loop.js";
import { complaint } from "../shared/complaint.js";
import type { Outcome } from "../shared/outcome.js";
import { checkAlone } from "../shared/preflight.js";
import type { Seen, SeenDisk, Site } from "../shared/site.js";
import { checkNextStep, checkSteps } from "./alone.js";
import { ChainCheck } from "./chain-check.js";
import { begins, moveJobs } from "./jobs.js";
import { observe } from "./look/observe.js";
import { type Goal, nextSteps, releasing, type Step } from "./plan.js";
import { checkUnderWay } from "./steps/collapsible.js";
import { SourceSpace } from "./steps/source-space.js";
import { deeds, type MoveTools } from "./take.js";

/** Brings the disks where they are wanted (`arrive`), or brings to an end what was begun (`withdraw`). Holds the places of all of them. */
export async function moveDisks(site: Site, places: HeldPlaces, { goal, outcome }: { goal: Goal; outcome: Outcome }): Promise<Seen> {
  const space = new SourceSpace(site);
  // a move for which the source's space does not suffice is undone
  const aim = () => (space.reason ? "withdraw" : goal);
  const seen = await reconcile(site, places, moveFlow({ site, outcome, places, space, aim, jobs: moveJobs(site) }));
  if (space.reason) throw space.reason;
  return seen;
}

function moveFlow(tools: MoveTools): Flow<MoveTools, Seen, Step> {
  const { site, space, places, aim } = tools;
  const chains = new ChainCheck(site, tools.outcome);
  return {
    tools,
    deeds,
    observe: async () => {
      const seen = await observe(site, places.disks);
      await space.look(seen);
      return seen;
    },
    next: ({ view, disks }) => nextSteps(aim(), disks, suspendedNow(view) ? "suspended" : "not-suspended"),
    loading: new Set(["begin", "copy", "start-mirror", "collapse", "fold"]),
    releasing,
    checkRow: (seen, steps) => checkSteps(site, seen, steps),
    checkStep: async (seen, step, place) => {
      if (place === "later") await checkNextStep(site, seen, step);
      if ((await chains.before(step, seen, aim())) === "undone") return "skip";
      checkStep(tools, seen, step);
      return "take";
    },
    isRowOver: () => space.reason !== undefined,
    words: { undoHint: ", or `pulumi destroy` to undo it" },
  };
}

/** Steps that lead to the move's end at the destination. */
const onward: ReadonlySet<Step["step"]> = new Set(["freeze", "record-frozen", "copy", "start-mirror", "pivot", "collapse", "tidy"]);

function checkStep(tools: MoveTools, seen: Seen, step: Step): void {
  const { site } = tools;
  if (step.step === "start-mirror" || step.step === "collapse" || step.step === "fold") {
    checkJobsOf(site, seen, diskNamed(seen, step.disk));
    begins(tools, step.step, diskNamed(seen, step.disk));
  }
  if (onward.has(step.step)) for (const disk of disksNamed(seen, disksOf(step))) checkUnderWay(site, disk);
}

function checkJobsOf(site: Site, { view }: Seen, { disk, image }: SeenDisk): void {
  const left = `The guest runs on ${image.chain[0].path}; what was copied is kept.`;
  checkAlone(view, image, (why, advice) => complaint(site, { verb: "go on with the move of", disk, why, left, advice }));
}

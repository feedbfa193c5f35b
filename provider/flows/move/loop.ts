/**
 * Observe, then one step (or the same one for several disks), until done. This is all there is of a move, of its resuming and of
 * its undoing: a second run finishes what a killed one began, because neither remembers anything
 * (decisions/0001).
 */

import { BugError, impossible, UserError } from "../../core/errors.js";
import type { Run } from "../../core/lifecycle.js";
import { machineOf } from "../../host/machine.js";
import { Place } from "../../reconciler/side-by-side.js";
import { Watch } from "../../reconciler/watch.js";
import { complaint } from "../shared/complaint.js";
import type { Outcome } from "../shared/outcome.js";
import type { Seen, SeenDisk, Site } from "../shared/site.js";
import { finalize, switchDisks } from "../shared/switch.js";
import { jobsOf, manifestOf, of, one, written } from "./chosen.js";
import { checkLanded } from "./landed.js";
import type { HeldPlaces } from "./locked.js";
import { observe } from "./look/observe.js";
import { collapseManaged, foldManaged, freezeManaged } from "./managed/freezing.js";
import { settleDefinition, startManagedCopy } from "./managed/mirror.js";
import { type ManagedTurn, switchManaged } from "./managed/switch.js";
import { disksOf, type Goal, nextSteps, type Step } from "./plan.js";
import { begin, recordDestination } from "./steps/begin.js";
import { ChainCheck } from "./steps/chain-check.js";
import { checkUnderWay } from "./steps/collapsible.js";
import { copyOne } from "./steps/copying.js";
import { clear, setBack, tidy } from "./steps/endings.js";
import { collapse, fold, freeze, recordFrozen } from "./steps/freezing.js";
import { startMirror } from "./steps/mirroring.js";
import { checkNextStep, checkSteps, checkSwitch } from "./steps/others.js";
import { checkAlone } from "./steps/preflight.js";
import { SourceSpace } from "./steps/source-space.js";
import { afterUnplugging } from "./steps/unplugged.js";
import { Tending } from "./tending.js";
import { collapsedTurn, foldedTurn, linkMovesIn, linkTurn, pivotTurn } from "./turns.js";

/** Brings the disks where they are wanted (`arrive`), or brings to an end what was begun (`withdraw`). Holds the places of all of them. */
export async function moveDisks(site: Site, places: HeldPlaces, goal: Goal, outcome: Outcome): Promise<Seen> {
  const host = { machine: await machineOf(site.host), name: site.host.name };
  return new Move({ site, place: new Place(host, site.run.movesPerHost) }, places, goal, outcome).run();
}

/** Steps that bring load onto the host's storage, or begin what will: they wait for their turn. What lets a guest go on never waits. */
const loading: ReadonlySet<Step["step"]> = new Set(["begin", "copy", "start-mirror", "collapse", "fold"]);

/** Steps that lead to the move's end at the destination. */
const onward: ReadonlySet<Step["step"]> = new Set(["freeze", "record-frozen", "copy", "start-mirror", "pivot", "collapse", "tidy"]);

/** Steps that end the wait of a guest's I/O: also in a run that is asked to stop. */
const releasing: ReadonlySet<Step["step"]> = new Set(["let-go", "set-back", "cancel"]);

const wayOfSwitch = { pivot: "move", collapse: "finish", none: "undo" } as const;

class Move {
  private readonly site: Site;
  private readonly place: Place;
  private readonly watch: Watch;
  private readonly space: SourceSpace;
  private readonly tending: Tending;
  private readonly chains: ChainCheck;

  constructor(
    { site, place }: { site: Site; place: Place },
    private readonly places: HeldPlaces,
    private readonly goal: Goal,
    private readonly outcome: Outcome,
  ) {
    this.site = site;
    this.place = place;
    this.watch = new Watch(site.options.stallSeconds);
    this.space = new SourceSpace(site);
    this.tending = new Tending(site);
    this.chains = new ChainCheck(site, outcome);
  }

  async run(): Promise<Seen> {
    try {
      return await this.untilDone();
    } catch (reason) {
      throw await afterUnplugging(this.site, this.places.all, reason);
    } finally {
      this.place.leave();
    }
  }

  private async untilDone(): Promise<Seen> {
    for (;;) {
      const seen = await observe(this.site, this.places.disks);
      await this.space.look(seen);
      const [step, ...alike] = nextSteps(this.aim, seen.disks);
      if (step.step === "done") return this.ended(seen);
      if (await this.places.takeBack([step, ...alike].flatMap(disksOf))) continue; // a disk that was done is not
      if (this.site.run.stop.aborted && !releasing.has(step.step)) throw this.stopped(seen);
      const turn = loading.has(step.step) ? await this.place.take(this.places.disks.join(", "), this.site.run) : "at once";
      if (turn === "stopped") throw this.stopped(seen);
      if (turn === "waited") continue; // what was seen is old by now
      this.watch.see(step, seen);
      await checkSteps(this.site, seen, [step, ...alike]);
      await this.take(step, seen);
      for (const next of alike) {
        if (next.step === "done" || this.site.run.stop.aborted || this.space.reason) break;
        await checkNextStep(this.site, seen, next);
        await this.take(next, seen);
      }
    }
  }

  /** What is wanted by now: a move for which the source's space does not suffice is undone. */
  private get aim(): Goal {
    return this.space.reason ? "withdraw" : this.goal;
  }

  private async take(step: Exclude<Step, { step: "done" }>, seen: Seen): Promise<void> {
    const { site } = this;
    const { managed } = site.guest;
    if ((await this.chains.before(step, seen, this.aim)) === "undone") return;
    if (step.step === "start-mirror" || step.step === "collapse" || step.step === "fold") {
      this.checkAlone(seen, one(seen, step.disk));
      this.tending.begins(step.step, one(seen, step.disk));
    }
    if (onward.has(step.step)) for (const disk of of(seen, disksOf(step))) checkUnderWay(site, disk);
    switch (step.step) {
      case "stop":
        throw complaint(site, { verb: "go on with the move of", disk: step.disk, why: step.why, advice: "Then run again." });
      case "begin":
        return begin(this.bound(), seen, of(seen, step.disks));
      case "record-destination":
        return recordDestination(site, one(seen, step.disk), manifestOf(one(seen, step.disk)));
      case "freeze":
        return managed ? freezeManaged(site, managed, of(seen, step.disks).map(written)) : freeze(site, of(seen, step.disks).map(written));
      case "record-frozen":
        return recordFrozen(site, written(one(seen, step.disk)));
      case "copy":
        return this.copy(seen, step);
      case "start-mirror":
        return managed
          ? startManagedCopy(site, managed, one(seen, step.disk), manifestOf(one(seen, step.disk)))
          : startMirror(site, seen, one(seen, step.disk), manifestOf(one(seen, step.disk)));
      case "collapse":
        return managed
          ? collapseManaged(site, managed, written(one(seen, step.disk)))
          : collapse(site, seen, written(one(seen, step.disk)));
      case "fold":
        return managed ? foldManaged(site, managed, written(one(seen, step.disk))) : fold(site, seen, written(one(seen, step.disk)));
      case "continue":
        return this.tending.goOnOnce(one(seen, step.disk));
      case "wait":
        return this.tending.wait(of(seen, step.disks));
      case "pivot":
        await checkLanded(site, of(seen, step.disks).map(written));
        return managed ? this.switchManaged(seen, step.disks, "target") : this.switch(of(seen, step.disks), pivotTurn, "pivot");
      case "switch-collapsed":
        return managed ? this.switchManaged(seen, step.disks, "landing") : this.switch(of(seen, step.disks), collapsedTurn, "collapse");
      case "switch-folded":
        return managed ? this.switchManaged(seen, step.disks, "former") : this.switch(of(seen, step.disks), foldedTurn, "none");
      case "let-go":
        return finalize(site, jobsOf(of(seen, step.disks)));
      case "cancel":
        return this.tending.cancel(of(seen, step.disks));
      case "dismiss":
        return this.tending.dismiss(one(seen, step.disk));
      case "set-back":
        return setBack(site, one(seen, step.disk), manifestOf(one(seen, step.disk)));
      case "redefine":
        return managed?.redefine(one(seen, step.disk).qdev, one(seen, step.disk).image.chain[0]);
      case "tidy":
        return this.tidy(seen, one(seen, step.disk));
      case "clear":
        return this.clear(seen, one(seen, step.disk));
      default:
        return impossible(step);
    }
  }

  private checkAlone({ view }: Seen, { disk, image }: SeenDisk): void {
    const left = `The guest runs on ${image.chain[0].path}; what was copied is kept.`;
    checkAlone(view, image, (why, advice) => complaint(this.site, { verb: "go on with the move of", disk, why, left, advice }));
  }

  private async tidy(seen: Seen, disk: SeenDisk): Promise<void> {
    await settleDefinition(this.site, disk, manifestOf(disk), this.outcome);
    const isDone = this.aim === "withdraw" || disk.heading === "wanted";
    await tidy(this.site, seen, written(disk), this.outcome, isDone ? this.withLocks(disk) : undefined);
  }

  private clear(seen: Seen, disk: SeenDisk): Promise<void> {
    return clear(this.site, seen, written(disk), this.aim === "withdraw" ? this.withLocks(disk) : undefined);
  }

  /** How the last manifest of a disk goes with which nothing is to be done any more. */
  private withLocks({ key }: SeenDisk): (manifest: string) => Promise<void> {
    return (manifest) => this.places.giveBackWith(manifest, key);
  }

  private ended(seen: Seen): Seen {
    if (this.space.reason) throw this.space.reason;
    return seen;
  }

  private async copy(seen: Seen, { disk, layer }: Extract<Step, { step: "copy" }>): Promise<void> {
    const stop = AbortSignal.any([this.site.run.stop, this.space.low]);
    const { run } = this.site;
    const told: Run = { ...run, progress: (text) => run.progress(text), say: (severity, text) => run.say(severity, text), stop };
    const site = { ...this.site, run: told };
    try {
      await this.space.during(seen, () => copyOne(site, written(one(seen, disk)), layer, this.outcome));
    } catch (thrown) {
      if (!this.space.reason) throw thrown; // else the next step undoes
    }
  }

  private async switch(disks: readonly SeenDisk[], turnOf: typeof pivotTurn, linkIn: "pivot" | "collapse" | "none"): Promise<void> {
    const [first] = disks;
    if (!first) return;
    const turns = await Promise.all(disks.map((disk) => turnOf(this.site, disk, manifestOf(disk))));
    const manifest = manifestOf(first);
    await checkSwitch(this.site, disks, wayOfSwitch[linkIn]);
    await switchDisks(this.site, turns, linkMovesIn(manifest) === linkIn ? linkTurn(first, manifest) : undefined, this.outcome);
  }

  private async switchManaged(seen: Seen, disks: readonly string[], to: ManagedTurn): Promise<void> {
    const { managed } = this.site.guest;
    await checkSwitch(this.site, of(seen, disks), wayOfSwitch[({ target: "pivot", landing: "collapse", former: "none" } as const)[to]]);
    if (managed) await switchManaged({ site: this.site, managed, seen, outcome: this.outcome }, of(seen, disks).map(written), to);
  }

  private bound(): Site & { destination: string } {
    const { destination } = this.site;
    if (destination === undefined) throw new BugError("A move was begun that goes nowhere.");
    return { ...this.site, destination };
  }

  private stopped(seen: Seen): UserError {
    const current = seen.disks.map(({ disk, manifest, active }) => `${disk} on ${manifest?.current ?? active.named}`).join(", ");
    return new UserError(
      `Stopped as asked, between two steps: the guest runs on, ${current}. Nothing is lost: run \`pulumi up\` again and it goes on, or \`pulumi destroy\` to undo it.`,
    );
  }
}

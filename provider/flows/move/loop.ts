/**
 * Observe, then one step (or the same one for several disks), until done. This is all there is of a move, of its resuming and of
 * its undoing: a second run finishes what a killed one began, because neither remembers anything
 * (decisions/0001).
 */

import { UserError } from "../../core/errors.js";
import { machineOf } from "../../host/machine.js";
import { Place } from "../../reconciler/side-by-side.js";
import { Watch } from "../../reconciler/watch.js";
import { complaint } from "../shared/complaint.js";
import type { HeldPlaces } from "../shared/held-places.js";
import type { Outcome } from "../shared/outcome.js";
import { checkAlone } from "../shared/preflight.js";
import type { Seen, SeenDisk, Site } from "../shared/site.js";
import { Astray } from "../shared/switch.js";
import { checkNextStep, checkSteps } from "./alone.js";
import { ChainCheck } from "./chain-check.js";
import { observe } from "./look/observe.js";
import { disksOf, type Goal, nextSteps, type Step } from "./plan.js";
import { of, one } from "./steps/chosen.js";
import { checkUnderWay } from "./steps/collapsible.js";
import { SourceSpace } from "./steps/source-space.js";
import { afterUnplugging } from "./steps/unplugged.js";
import { take } from "./take.js";
import { Tending } from "./tending.js";

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
const releasing: ReadonlySet<Step["step"]> = new Set(["end-switch", "let-go", "set-back", "cancel"]);

class Move {
  readonly #site: Site;
  readonly #place: Place;
  readonly #watch: Watch;
  readonly #space: SourceSpace;
  readonly #tending: Tending;
  readonly #chains: ChainCheck;
  #astray: Astray | undefined;

  readonly #places: HeldPlaces;
  readonly #goal: Goal;
  readonly #outcome: Outcome;

  constructor({ site, place }: { site: Site; place: Place }, places: HeldPlaces, goal: Goal, outcome: Outcome) {
    this.#places = places;
    this.#goal = goal;
    this.#outcome = outcome;

    this.#site = site;
    this.#place = place;
    this.#watch = new Watch(site.options.stallSeconds);
    this.#space = new SourceSpace(site);
    this.#tending = new Tending(site);
    this.#chains = new ChainCheck(site, outcome);
  }

  async run(): Promise<Seen> {
    try {
      return await this.#untilDone();
    } catch (reason) {
      throw await afterUnplugging(this.#site, this.#places.all, reason);
    } finally {
      this.#place.leave();
    }
  }

  async #untilDone(): Promise<Seen> {
    for (;;) {
      const seen = await observe(this.#site, this.#places.disks);
      await this.#space.look(seen);
      const [step, ...alike] = nextSteps(this.#aim, seen.disks);
      if (this.#astray && step.step !== "end-switch") throw this.#astray;
      if (step.step === "done") return this.#ended(seen);
      if (await this.#places.takeBack([step, ...alike].flatMap(disksOf))) continue; // a disk that was done is not
      if (this.#site.run.stop.aborted && !releasing.has(step.step)) throw this.#stopped(seen);
      const turn = loading.has(step.step) ? await this.#place.take(this.#places.disks.join(", "), this.#site.run) : "at once";
      if (turn === "stopped") throw this.#stopped(seen);
      if (turn === "waited") continue; // what was seen is old by now
      this.#watch.see(step, seen);
      await checkSteps(this.#site, seen, [step, ...alike]);
      await this.#take(step, seen).catch((thrown: unknown) => this.#endFirst(thrown));
      for (const next of alike) {
        if (next.step === "done" || this.#site.run.stop.aborted || this.#space.reason) break;
        await checkNextStep(this.#site, seen, next);
        await this.#take(next, seen);
      }
    }
  }

  /** If one disk stayed behind, the switch is first ended for all of its disks; only then is that told. */
  #endFirst(thrown: unknown): void {
    if (!(thrown instanceof Astray)) throw thrown;
    this.#astray = thrown;
  }

  /** What is wanted by now: a move for which the source's space does not suffice is undone. */
  get #aim(): Goal {
    return this.#space.reason ? "withdraw" : this.#goal;
  }

  async #take(step: Exclude<Step, { step: "done" }>, seen: Seen): Promise<void> {
    const site = this.#site;
    await this.#places.check();
    if ((await this.#chains.before(step, seen, this.#aim)) === "undone") return;
    if (step.step === "start-mirror" || step.step === "collapse" || step.step === "fold") {
      this.#checkAlone(seen, one(seen, step.disk));
      this.#tending.begins(step.step, one(seen, step.disk));
    }
    if (onward.has(step.step)) for (const disk of of(seen, disksOf(step))) checkUnderWay(site, disk);
    const outcome = this.#outcome;
    const tending = this.#tending;
    const space = this.#space;
    const places = this.#places;
    const aim = this.#aim;
    await take({ site, seen, outcome, tending, space, places, aim }, step);
  }

  #checkAlone({ view }: Seen, { disk, image }: SeenDisk): void {
    const left = `The guest runs on ${image.chain[0].path}; what was copied is kept.`;
    checkAlone(view, image, (why, advice) => complaint(this.#site, { verb: "go on with the move of", disk, why, left, advice }));
  }

  #ended(seen: Seen): Seen {
    if (this.#space.reason) throw this.#space.reason;
    return seen;
  }

  #stopped(seen: Seen): UserError {
    const current = seen.disks.map(({ disk, manifest, active }) => `${disk} on ${manifest?.current ?? active.named}`).join(", ");
    return new UserError(
      `Stopped as asked, between two steps: the guest runs on, ${current}. Nothing is lost: run \`pulumi up\` again and it goes on, or \`pulumi destroy\` to undo it.`,
    );
  }
}

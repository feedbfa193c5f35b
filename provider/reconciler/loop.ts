/**
 * The one loop of every flow: observe, then one step (or the same one for several disks), until done. A second run finishes what a killed
 * one began, because neither remembers anything (decisions/0001).
 */

import { UserError } from "../core/errors.js";
import { machineOf } from "../host/machine.js";
import { currentOf, disksOf, type Flow, type FlowContext, type FlowStep, type Observation, type Work } from "./flow.js";
import { HalfSwitched } from "./half-switched.js";
import type { HeldPlaces } from "./held-places.js";
import { type MoveSlot, MoveSlots } from "./move-slots.js";
import { afterUnplugging } from "./unplugged.js";
import { Watch } from "./watch.js";

/**
 * Takes step after step until none is left. `places` are held.
 * @returns what was observed last
 * @throws UserError if something stands against the next step, nothing moves any more, or the run is asked to stop
 */
export async function reconcile<T, O extends Observation, S extends FlowStep>(
  context: FlowContext,
  places: HeldPlaces,
  flow: Flow<T, O, S>,
): Promise<O> {
  const { host, run } = context;
  const slot = run.world.one(MoveSlots).slot({ machine: await machineOf(host), name: host.name }, run.movesPerHost);
  try {
    return await new Loop({ context, slot }, places, flow).untilDone();
  } catch (reason) {
    throw await afterUnplugging(context, places.all, reason);
  } finally {
    slot.leave();
  }
}

class Loop<T, O extends Observation, S extends FlowStep> {
  readonly #context: FlowContext;
  readonly #slot: MoveSlot;
  readonly #places: HeldPlaces;
  readonly #flow: Flow<T, O, S>;
  readonly #watch: Watch;
  #halfSwitched: HalfSwitched | undefined;

  constructor({ context, slot }: { context: FlowContext; slot: MoveSlot }, places: HeldPlaces, flow: Flow<T, O, S>) {
    this.#context = context;
    this.#slot = slot;
    this.#places = places;
    this.#flow = flow;
    this.#watch = new Watch(context.options.stallSeconds, context.run.world);
  }

  async untilDone(): Promise<O> {
    for (;;) {
      const seen = await this.#flow.observe();
      const [step, ...alike] = this.#flow.next(seen);
      if (this.#halfSwitched && step.step !== "end-switch") throw this.#halfSwitched;
      if (!isWork<S>(step)) return seen;
      if (await this.#places.takeBack([step, ...alike].flatMap(disksOf))) continue; // a disk that was done is not
      const { stop } = this.#context.run;
      if (stop.aborted && !this.#flow.releasing.has(step.step)) throw this.#stopped(seen);
      const turn = this.#flow.loading.has(step.step) ? await this.#slot.take(this.#places.disks.join(", "), this.#context.run) : "at once";
      if (turn === "stopped") throw this.#stopped(seen);
      if (turn === "waited") continue; // what was seen is old by now
      this.#watch.see(step, seen);
      await this.#row(seen, [step, ...alike.filter(isWork<S>)]);
    }
  }

  async #row(seen: O, steps: readonly [Work<S>, ...Work<S>[]]): Promise<void> {
    const [first, ...later] = steps;
    await this.#flow.checkRow?.(seen, steps);
    await this.#take(seen, first, "first").catch((thrown: unknown) => this.#endFirst(thrown));
    for (const step of later) {
      if (this.#context.run.stop.aborted || this.#flow.isRowOver?.()) return;
      await this.#take(seen, step, "later");
    }
  }

  async #take(seen: O, step: Work<S>, place: "first" | "later"): Promise<void> {
    await this.#places.check();
    if ((await this.#flow.checkStep?.(seen, step, place)) === "skip") return;
    const { tools, deeds } = this.#flow;
    await deeds[step.step as Work<S>["step"]](tools, seen, step as never); // they go together by their name, which the compiler cannot see
  }

  /** If one disk stayed behind, the switch is first ended for all of its disks; only then is that told. */
  #endFirst(thrown: unknown): void {
    if (!(thrown instanceof HalfSwitched)) throw thrown;
    this.#halfSwitched = thrown;
  }

  #stopped({ disks }: O): UserError {
    const current = disks.map((disk) => `${disk.disk} on ${currentOf(disk)}`).join(", ");
    const { undoHint } = this.#flow.words;
    return new UserError(
      `Stopped as asked, between two steps: the guest runs on, ${current}. Nothing is lost: run \`pulumi up\` again and it goes on${undoHint}.`,
    );
  }
}

function isWork<S extends FlowStep>(step: S): step is Work<S> {
  return step.step !== "done";
}

/** Carries out what was decided: resources in parallel, check and diff one after the other, as the engine does. */

import { randomUUID } from "node:crypto";
import type { Properties } from "../../provider/core/lifecycle.js";
import { type Decision, decide } from "./decision.js";
import { deleteResources, withDependents } from "./deletion.js";
import type { ResourceState } from "./deployment.js";
import { type Goal, isProvider } from "./goal.js";
import { InitFailed } from "./init-failure.js";
import type { Operation } from "./operation.js";
import { markSecrets, plain } from "./values.js";

export class Steps {
  #lastDecision: Promise<unknown> = Promise.resolve();
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(readonly operation: Operation) {}

  /**
   * The resource as the program sees it from now on.
   * @throws Error after a failure, which has then been shown
   */
  register(goal: Goal): Promise<ResourceState> {
    return this.#track(goal.state.urn, async () => {
      const decided = this.#lastDecision.then(() => this.#decide(goal));
      this.#lastDecision = decided.catch(() => undefined);
      return this.#perform(await decided);
    });
  }

  /** A resource that is only read: `get`. */
  read(state: ResourceState): Promise<ResourceState> {
    return this.#track(state.urn, async () => {
      this.operation.assignProvider(state);
      this.operation.seen.add(state.urn);
      const provider = await this.operation.processOf(state);
      const answer = await provider.read(state.urn, state.id, { inputs: plain(state.inputs) });
      if (answer.id === "") throw new Error(`resource '${state.id}' does not exist`);
      const read = { ...state, id: answer.id, outputs: markSecrets(answer.outputs, state.inputs, state.additionalSecretOutputs) };
      this.operation.deployment.put(read);
      this.operation.record(state.urn, "read");
      return read;
    });
  }

  /** Resolves when no step is under way. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }

  #track(urn: string, work: () => Promise<ResourceState>): Promise<ResourceState> {
    const step = work().catch((error: Error) => {
      // gRPC's message begins with its status
      if (!this.operation.failed.aborted || !(error instanceof Refused)) this.operation.fail(urn, messageOf(error));
      throw error;
    });
    this.#underWay.add(step);
    return step;
  }

  async #decide(goal: Goal): Promise<Decision> {
    if (this.operation.failed.aborted) throw new Refused();
    this.operation.assignProvider(goal.state);
    this.operation.deployment.rename(goal.aliases, goal.state.urn);
    this.operation.seen.add(goal.state.urn);
    const decision = await decide(this.operation, goal);
    if (this.operation.failed.aborted) throw new Refused();
    this.operation.record(goal.state.urn, decision.op, "properties" in decision ? decision.properties : []);
    return decision;
  }

  async #perform(decision: Decision): Promise<ResourceState> {
    const state = await (this.operation.isPreview ? foresee(decision) : this.#take(decision));
    if (decision.op === "replace" && decision.first === "create" && this.operation.isPreview) {
      this.operation.deployment.remove(decision.old);
    }
    this.operation.deployment.put(state);
    return state;
  }

  async #take(decision: Decision): Promise<ResourceState> {
    const { state } = decision;
    if (!state.custom || isProvider(state)) return { ...state, id: state.id || (state.custom ? randomUUID() : ""), outputs: state.inputs };
    switch (decision.op) {
      case "same":
        return { ...state, outputs: decision.old.outputs };
      case "create":
        return this.#create(state);
      case "update":
        return this.#update(state, decision.old);
      case "replace":
        if (decision.first === "delete") await deleteResources(this.operation, withDependents(this.operation, decision.old), "replaced");
        else this.operation.deployment.markReplaced(decision.old);
        return this.#create(state);
    }
  }

  async #create(state: ResourceState): Promise<ResourceState> {
    const provider = await this.operation.processOf(state);
    return this.operation.deployment.journal("creating", state, async () => {
      const { id, outputs } = await provider.create(state.urn, plain(state.inputs)).catch((error) => this.#keepUnfinished(error, state));
      return { ...state, id, outputs: secretOutputs(state, outputs) };
    });
  }

  async #update(state: ResourceState, old: ResourceState): Promise<ResourceState> {
    const provider = await this.operation.processOf(state);
    return this.operation.deployment.journal("updating", state, async () => {
      const news = provider.update(state.urn, old.id, plain(old.outputs), plain(state.inputs));
      // What exists was not made with the new inputs: the old ones stay, so that the next diff sees work left (engine/update.go).
      const outputs = await news.catch((error) => this.#keepUnfinished(error, { ...state, inputs: old.inputs }));
      return { ...state, outputs: secretOutputs(state, outputs) };
    });
  }

  /** Puts what exists so far into the state. @throws always */
  #keepUnfinished(error: unknown, state: ResourceState): never {
    if (error instanceof InitFailed) {
      this.operation.deployment.put({
        ...state,
        id: error.id,
        outputs: secretOutputs(state, error.properties),
        initErrors: error.reasons,
      });
    }
    throw error;
  }
}

/** No step is begun after a failure; it has been shown already. */
class Refused extends Error {}

/** In a preview the provider is asked for nothing that it would do: outputs that are not inputs stay unknown. */
async function foresee({ op, state, ...decision }: Decision): Promise<ResourceState> {
  if (op === "same" && "old" in decision) return { ...state, outputs: decision.old.outputs };
  return { ...state, id: op === "replace" ? "" : state.id, outputs: state.inputs };
}

function secretOutputs(state: ResourceState, outputs: Properties): Properties {
  return markSecrets(outputs, state.inputs, state.additionalSecretOutputs);
}

export function messageOf(error: Error): string {
  return "details" in error && typeof error.details === "string" ? error.details : error.message;
}

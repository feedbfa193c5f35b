/** Makes of a lifecycle what the SDK's dynamic provider calls. */

import type { dynamic } from "@pulumi/pulumi";
import { UserError } from "../core/errors.js";
import { gone, type Lifecycle, type Properties, type Run, Unfinished } from "../core/lifecycle.js";
import { asError, isExpected } from "./guard.js";
import { hiddenOf, urnOf, visibleOf } from "./hidden.js";
import { plainLine } from "./plain-text.js";
import { ResourceLog } from "./progress.js";
import { type Config, readCredentials, readMovesPerHost } from "./settings.js";
import { toState } from "./state.js";
import { providerProcess, type Surroundings } from "./surroundings.js";

const defaultStallSeconds = 600;

/** In every output, never in an input: it tells a refresh from a `get`, and tells later versions how to read the rest. */
const schemaVersion = 1;

/** The SDK's view of `lifecycle`. */
export function adapt(lifecycle: Lifecycle, surroundings: Surroundings = providerProcess()): dynamic.ResourceProvider {
  return new Adapter(lifecycle, surroundings);
}

class Adapter implements dynamic.ResourceProvider {
  #config: Config = { get: () => undefined };
  /** What diff has said of each resource: a refresh asks it once more before the program does. */
  readonly #toldPlans = new Set<string>();

  constructor(
    readonly lifecycle: Lifecycle,
    readonly surroundings: Surroundings,
  ) {}

  // Nothing is awaited: the SDK uses the provider for a second call before the first one's configure is done.
  configure = async (request: dynamic.ConfigureRequest): Promise<void> => {
    this.#config = request.config;
  };

  check = async (olds: Properties, news: Properties): Promise<dynamic.CheckResult> => {
    try {
      const { inputs, failures } = this.lifecycle.check(visibleOf(olds), visibleOf(news));
      const plain = failures.map(({ property, reason }) => ({ property, reason: plainLine(reason) }));
      return { inputs: toState({ ...inputs, ...hiddenOf(news) }), failures: plain };
    } catch (thrown) {
      throw asError(thrown);
    }
  };

  diff = (id: string, olds: Properties, news: Properties): Promise<dynamic.DiffResult> =>
    this.#call("diff", news, async (run) => {
      const { changes, replaces } = this.lifecycle.diff(id, visibleOf(olds), visibleOf(news), this.#tellingOnce(run));
      return changes === undefined ? { replaces } : { changes, replaces };
    });

  create = (inputs: Properties): Promise<dynamic.CreateResult> =>
    this.#call("create", inputs, async (run) => {
      const { id, outputs } = await this.lifecycle.create(visibleOf(inputs), run);
      return { id, outs: outputsToState(inputs, outputs) };
    });

  read = (id: string, props: Properties): Promise<dynamic.ReadResult> =>
    this.#call("read", props, async (run) => {
      const seen = await this.lifecycle.read(id, visibleOf(props), run);
      if (seen === gone) return whenGone(id, props);
      const inputs = { ...seen.inputs, ...hiddenOf(props) };
      // The inputs win: the next diff compares with the outputs, and must find there what has drifted.
      return { id: seen.id, props: outputsToState(inputs, { ...seen.outputs, ...seen.inputs }), inputs: toState(inputs) };
    });

  update = (id: string, olds: Properties, news: Properties): Promise<dynamic.UpdateResult> =>
    this.#call("update", news, async (run) => {
      const { outputs } = await this.lifecycle.update(id, visibleOf(olds), visibleOf(news), run);
      return { outs: outputsToState(news, outputs) };
    });

  delete = (id: string, props: Properties): Promise<void> =>
    this.#call("delete", props, (run) => this.lifecycle.delete(id, visibleOf(props), run));

  #tellingOnce(run: Run): Run {
    const say: Run["say"] = (severity, text) => {
      const key = `${run.urn} ${text}`;
      if (this.#toldPlans.has(key)) return;
      this.#toldPlans.add(key);
      run.say(severity, text);
    };
    return { ...run, say };
  }

  /** @throws UserError if a setting is none */
  #settings(): Pick<Run, "credentials" | "movesPerHost"> {
    const movesPerHost = readMovesPerHost(this.#config);
    return { credentials: readCredentials(this.#config), ...(movesPerHost !== undefined && { movesPerHost }) };
  }

  async #call<T>(method: string, bag: Properties, work: (run: Run) => Promise<T>): Promise<T> {
    const log = new ResourceLog(this.surroundings.sink, urnOf(bag));
    const call = { name: callName(method, log.urn), stallSeconds: stallSecondsOf(bag) };
    try {
      return await this.surroundings.calls.answer(call, async ({ advance, abandoned }) => {
        const stop = AbortSignal.any([this.surroundings.stop, abandoned]);
        return work({ ...linesOf(log, advance), ...this.#settings(), world: this.surroundings.world, stop, urn: log.urn });
      });
    } catch (thrown) {
      throw toAnswer(method, bag, thrown);
    } finally {
      await log.settle();
    }
  }
}

/** Only a text that differs from the last one is progress. */
function linesOf(log: ResourceLog, advance: () => void): Pick<Run, "progress" | "say"> {
  let last = "";
  return {
    progress(text) {
      if (text !== last) advance();
      last = text;
      log.progress(text);
    },
    say(severity, text) {
      advance();
      log.say(severity, text);
    },
  };
}

function toAnswer(method: string, bag: Properties, thrown: unknown): Error {
  if (thrown instanceof Unfinished) {
    const error = asError(thrown.cause);
    return Object.assign(error, { id: thrown.id, properties: outputsToState(bag, thrown.outputs), reasons: [error.message] });
  }
  const error = asError(thrown);
  // For these two the SDK prints no stack.
  if (!isExpected(thrown) && (method === "create" || method === "update")) console.error(error.stack);
  return error;
}

/** On refresh an empty answer takes the resource out of the state; on `get` the same answer would be taken for a resource. */
function whenGone(id: string, props: Properties): dynamic.ReadResult {
  if ("schemaVersion" in props) return {};
  throw new UserError(`Unable to get ${id}: its host says that it does not exist. Check the id, the host and the domain.`);
}

/** Later reads and deletes are given the outputs alone, so these hold all inputs, also the hidden ones. */
function outputsToState(inputs: Properties, outputs: Properties): Properties {
  return toState({ schemaVersion, ...inputs, ...outputs, ...hiddenOf(inputs) });
}

function callName(method: string, urn: string): string {
  return urn === "" ? method : `${method} of ${urn.split("::").at(-1)}`;
}

function stallSecondsOf(bag: Properties): number {
  return typeof bag.stallSeconds === "number" && bag.stallSeconds > 0 ? bag.stallSeconds : defaultStallSeconds;
}

/** One preview, up, refresh or destroy while it runs: what all its parts share. */

import type { Properties } from "../../provider/core/lifecycle.js";
import type { Deployment, ResourceState } from "./deployment.js";
import { changeOf, type Display } from "./display.js";
import type { Change } from "./engine.js";
import { isProvider, type StackName } from "./goal.js";
import type { ProviderProcess } from "./provider-process.js";
import { type Providers, providerOf, registerDefaultProvider } from "./providers.js";
import { compare, keepOld, type PropertyChange, plain } from "./values.js";

export interface OperationParts {
  use: "preview" | "update";
  names: StackName;
  /** The whole stack config, secrets marked. */
  config: Properties;
  deployment: Deployment;
  providers: Providers;
  display: Display;
}

export class Operation {
  readonly changes: Change[] = [];
  readonly refreshed: Change[] = [];
  /** The names that the program has registered. */
  readonly seen = new Set<string>();
  readonly #failed = new AbortController();
  #defaultProvider: ResourceState | undefined;

  constructor(readonly parts: OperationParts) {}

  get isPreview(): boolean {
    return this.parts.use === "preview";
  }

  get deployment(): Deployment {
    return this.parts.deployment;
  }

  /** Fires at the first failure: no further step is begun. */
  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  fail(urn: string, message: string): void {
    this.parts.display.error(urn, message);
    this.#failed.abort();
  }

  record(urn: string, op: Change["op"], properties: readonly PropertyChange[] = []): void {
    const change = changeOf(urn, op, properties);
    this.changes.push(change);
    this.parts.display.change(change);
  }

  /** Gives `resource` the default provider if the program named none. */
  assignProvider(resource: ResourceState): void {
    if (!resource.custom || isProvider(resource) || resource.provider !== "") return;
    this.#defaultProvider ??= registerDefaultProvider(this.deployment, this.parts.names, this.parts.config);
    this.seen.add(this.#defaultProvider.urn);
    resource.provider = `${this.#defaultProvider.urn}::${this.#defaultProvider.id}`;
  }

  processOf(resource: ResourceState): Promise<ProviderProcess> {
    return this.parts.providers.processFor(providerOf(this.deployment, resource));
  }
}

export interface ResourceDiff {
  changes: "some" | "none";
  properties: PropertyChange[];
  replaces: string[];
  deleteBeforeReplace: boolean;
}

export interface DiffSides {
  oldInputs: Properties;
  oldOutputs: Properties;
  newInputs: Properties;
}

/** Asks the provider; where it leaves it to the engine, the inputs are compared (diffResource in step_generator.go). */
export async function diffResource(provider: ProviderProcess, state: ResourceState, sides: DiffSides): Promise<ResourceDiff> {
  const answer = await provider.diff(state.urn, state.id, plain(sides.oldOutputs), plain(sides.newInputs));
  const newInputs = keepOld(sides.newInputs, sides.oldInputs, state.ignoreChanges);
  const differing = compare(plain(sides.oldInputs), plain(newInputs)).map(({ path }) => path);
  const properties = compare(sides.oldInputs, newInputs).filter(({ path }) => differing.some((other) => isWithin(other, path)));
  const fromInputs = properties.length > 0 ? "some" : "none";
  const changes = answer.changes === "unknown" ? fromInputs : answer.changes;
  return { ...answer, changes, properties: changes === "none" ? [] : properties };
}

/** Whether `path` is `outer` or lies in it: a secret is compared as a whole, what is in it by member. */
function isWithin(path: string, outer: string): boolean {
  return path === outer || path.startsWith(`${outer}.`) || path.startsWith(`${outer}[`);
}

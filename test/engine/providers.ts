/** The provider processes of one operation: one for each provider resource, as in the engine. */

import { randomUUID } from "node:crypto";
import type { Properties } from "../../provider/core/lifecycle.js";
import type { Deployment, ResourceState } from "./deployment.js";
import { blankState, type StackName, urnFor } from "./goal.js";
import { ProviderProcess, type ProviderStart } from "./provider-process.js";
import { plain } from "./values.js";

export const defaultProviderType = "pulumi:providers:pulumi-nodejs";

export class Providers {
  readonly #processes = new Map<string, Promise<ProviderProcess>>();

  constructor(
    readonly start: Omit<ProviderStart, "config">,
    readonly onStarted: (pid: number) => void,
  ) {}

  /** The process that serves resources of that provider with that configuration. */
  processFor(provider: ResourceState): Promise<ProviderProcess> {
    const config = plain(provider.inputs);
    const key = `${provider.urn} ${JSON.stringify(config)}`;
    const running = this.#processes.get(key) ?? this.#start(config);
    this.#processes.set(key, running);
    return running;
  }

  /** Asks all processes to end, as the engine does when it is done or told to stop. */
  async close(): Promise<void> {
    const started = await Promise.allSettled(this.#processes.values());
    await Promise.all(started.map((result) => (result.status === "fulfilled" ? result.value.close() : undefined)));
  }

  async #start(config: Properties): Promise<ProviderProcess> {
    const process = await ProviderProcess.start({ ...this.start, config });
    this.onStarted(process.pid);
    return process;
  }
}

/** The provider resource that `resource` names, which is in the state by now. */
export function providerOf(deployment: Deployment, resource: ResourceState): ResourceState {
  const urn = resource.provider.slice(0, resource.provider.lastIndexOf("::"));
  const provider = deployment.find(urn);
  if (provider === undefined) throw new Error(`The state holds no provider ${urn}.`);
  return provider;
}

/** Puts the default provider into the state: its inputs are the stack's whole config. */
export function registerDefaultProvider(deployment: Deployment, names: StackName, config: Properties): ResourceState {
  const urn = urnFor(names, defaultProviderType, "default", "");
  const id = deployment.find(urn)?.id ?? randomUUID();
  const provider = { ...blankState(urn, defaultProviderType, config), custom: true, id, outputs: config };
  deployment.put(provider);
  return provider;
}

/** What is to be done with one registered resource: the engine's step generator, without its rarer options. */

import type { Properties } from "../../provider/core/lifecycle.js";
import type { ResourceState } from "./deployment.js";
import { type Goal, isProvider } from "./goal.js";
import { diffResource, type Operation } from "./operation.js";
import type { ProviderProcess } from "./provider-process.js";
import { compare, keepOld, markSecrets, type PropertyChange, plain } from "./values.js";

export type Decision =
  | { op: "create"; state: ResourceState }
  | { op: "same" | "update"; state: ResourceState; old: ResourceState; properties: PropertyChange[] }
  | { op: "replace"; state: ResourceState; old: ResourceState; properties: PropertyChange[]; first: "create" | "delete" };

export async function decide(operation: Operation, goal: Goal): Promise<Decision> {
  const { state } = goal;
  const old = operation.deployment.find(state.urn);
  if (!state.custom || isProvider(state)) return decideWithoutProvider(state, old);
  const provider = await operation.processOf(state);
  const known = old?.external ? undefined : old;
  const wanted = known ? keepOld(state.inputs, known.inputs, state.ignoreChanges) : state.inputs;
  const inputs = await check(provider, state.urn, known?.inputs ?? {}, wanted);
  if (known === undefined) return { op: "create", state: { ...state, inputs } };
  const changed = { ...state, id: known.id, inputs };
  const diff = await diffResource(provider, changed, { oldInputs: known.inputs, oldOutputs: known.outputs, newInputs: inputs });
  const replaces = [...diff.replaces, ...forcedReplaces(diff.properties, goal)];
  if (diff.changes === "some" && replaces.length > 0) {
    const first = (goal.deleteBeforeReplace ?? diff.deleteBeforeReplace) ? "delete" : "create";
    const anew = await check(provider, state.urn, {}, wanted);
    return { op: "replace", state: { ...state, inputs: anew }, old: known, properties: diff.properties, first };
  }
  // An unfinished resource without a difference is still updated: that is how the next `up` goes on with it.
  const op = diff.changes === "some" || known.initErrors.length > 0 ? "update" : "same";
  return { op, state: changed, old: known, properties: diff.properties };
}

/** Components and explicit providers are the engine's own: nobody is asked. */
function decideWithoutProvider(state: ResourceState, old: ResourceState | undefined): Decision {
  if (old === undefined) return { op: "create", state };
  const properties = compare(old.inputs, state.inputs);
  return { op: properties.length > 0 ? "update" : "same", state: { ...state, id: old.id }, old, properties };
}

/** @throws Error naming each property that the provider refuses */
async function check(provider: ProviderProcess, urn: string, olds: Properties, news: Properties): Promise<Properties> {
  const { inputs, failures } = await provider.check(urn, plain(olds), plain(news));
  if (failures.length > 0) throw new Error(failures.map(({ property, reason }) => `${property}: ${reason}`).join("\n"));
  return markSecrets(inputs, news);
}

function forcedReplaces(properties: readonly PropertyChange[], { replaceOnChanges }: Goal): string[] {
  return replaceOnChanges.filter((path) => properties.some((property) => path === "*" || property.path.startsWith(path)));
}

/** Compares the state with what providers see: Read, then Diff the other way round (RefreshStep in step.go). */

import type { ResourceState } from "./deployment.js";
import { changeOf } from "./display.js";
import type { Change } from "./engine.js";
import { isProvider } from "./goal.js";
import { diffResource, type Operation } from "./operation.js";
import { messageOf } from "./steps.js";
import { markSecrets, plain } from "./values.js";

export async function refreshAll(operation: Operation): Promise<void> {
  const resources = operation.deployment.resources.filter((resource) => resource.custom && !isProvider(resource) && !resource.delete);
  await Promise.all(resources.map((resource) => refreshOne(operation, resource)));
}

async function refreshOne(operation: Operation, old: ResourceState): Promise<void> {
  try {
    const change = await readAndCompare(operation, old);
    operation.refreshed.push(change);
    if (change.op !== "same") operation.parts.display.show(`refreshing ${change.type} ${change.name}: ${change.op}`);
  } catch (error) {
    operation.fail(old.urn, error instanceof Error ? messageOf(error) : String(error));
  }
}

async function readAndCompare(operation: Operation, old: ResourceState): Promise<Change> {
  const provider = await operation.processOf(old);
  const answer = await provider.read(old.urn, old.id, { properties: plain(old.outputs), inputs: plain(old.inputs) });
  if (answer.id === "") {
    operation.deployment.remove(old);
    return changeOf(old.urn, "delete", []);
  }
  const inputs = answer.inputs ? markSecrets(answer.inputs, old.inputs) : old.inputs;
  const outputs = markSecrets(answer.outputs, old.inputs, old.additionalSecretOutputs);
  const seen = { ...old, id: answer.id, inputs, outputs, initErrors: [] };
  operation.deployment.put(seen);
  const { changes, properties } = await diffResource(provider, seen, { oldInputs: inputs, oldOutputs: outputs, newInputs: old.inputs });
  const inverted = properties.map((property) => ({
    ...property,
    before: property.after,
    after: property.before,
    kind: invert(property.kind),
  }));
  return changeOf(old.urn, changes === "some" ? "update" : "same", inverted);
}

function invert(kind: "add" | "delete" | "update"): "add" | "delete" | "update" {
  return kind === "add" ? "delete" : kind === "delete" ? "add" : "update";
}

/** Deletes resources, those first that nothing stands on any more. */

import type { ResourceState } from "./deployment.js";
import { isProvider } from "./goal.js";
import type { Operation } from "./operation.js";
import { plain } from "./values.js";

/** What a deletion is part of: a replaced resource's deletion is not a change of its own. */
type Reason = "unwanted" | "replaced";

export async function deleteResources(operation: Operation, doomed: readonly ResourceState[], reason: Reason): Promise<void> {
  const left = new Set(doomed);
  while (left.size > 0 && !operation.failed.aborted) {
    const free = [...left].filter((resource) => operation.deployment.dependents(resource).every((other) => !left.has(other)));
    const wave = free.length > 0 ? free : [...left];
    await Promise.all(wave.map((resource) => deleteResource(operation, resource, reason)));
    for (const resource of wave) left.delete(resource);
  }
}

/** `resource` and all that stands on it, itself last. */
export function withDependents(operation: Operation, resource: ResourceState): ResourceState[] {
  const found = new Set([resource]);
  for (const member of found) for (const other of operation.deployment.dependents(member)) found.add(other);
  return [...found].reverse();
}

async function deleteResource(operation: Operation, resource: ResourceState, reason: Reason): Promise<void> {
  if (resource.protect && reason === "unwanted") {
    return operation.fail(resource.urn, `Unable to delete resource "${resource.urn}": it is protected`);
  }
  if (reason === "unwanted") operation.record(resource.urn, "delete");
  try {
    if (!operation.isPreview && isProvidersToDelete(resource)) await askProvider(operation, resource);
    operation.deployment.remove(resource);
  } catch (error) {
    operation.fail(resource.urn, error instanceof Error && "details" in error ? String(error.details) : String(error));
  }
}

function isProvidersToDelete(resource: ResourceState): boolean {
  return resource.custom && !resource.external && !resource.retainOnDelete && !isProvider(resource);
}

async function askProvider(operation: Operation, resource: ResourceState): Promise<void> {
  const provider = await operation.processOf(resource);
  await operation.deployment.journal("deleting", resource, () => provider.delete(resource.urn, resource.id, plain(resource.outputs)));
}

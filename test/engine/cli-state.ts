/** `pulumi stack export --show-secrets` in the shape that the harness keeps its state in, and back into what `pulumi stack import` takes. */

import type { Properties } from "../../provider/core/lifecycle.js";
import type { DeploymentState, ResourceState } from "./deployment.js";
import { blankState } from "./goal.js";
import { mapSecrets, mapValues, type Secret, secretOf } from "./values.js";

type ExportedResource = Partial<ResourceState> & { urn: string; type: string };

export function exportedState(text: string): DeploymentState {
  const { deployment } = JSON.parse(text) as { deployment: { resources?: ExportedResource[]; pending_operations?: ExportedOperation[] } };
  return {
    version: 3,
    deployment: {
      resources: (deployment.resources ?? []).map(wholeState),
      pending_operations: (deployment.pending_operations ?? []).map(({ type, resource }) => ({ type, resource: wholeState(resource) })),
    },
  };
}

interface ExportedOperation {
  type: "creating" | "updating" | "deleting" | "reading";
  resource: ExportedResource;
}

/** The whole state as text for `pulumi stack import`, which encrypts its secrets with the stack's passphrase: `salt` as its settings have it. */
export function importableState({ version, deployment }: DeploymentState, salt: string): string {
  const closed = (resource: ResourceState) => ({
    ...resource,
    inputs: closeSecrets(resource.inputs),
    outputs: closeSecrets(resource.outputs),
  });
  const resources = deployment.resources.map(closed);
  const operations = deployment.pending_operations.map((operation) => ({ ...operation, resource: closed(operation.resource) }));
  const provider = { type: "passphrase", state: { salt } };
  return JSON.stringify({ version, deployment: { secrets_providers: provider, resources, pending_operations: operations } });
}

/** The engine leaves out what is empty. */
function wholeState(resource: ExportedResource): ResourceState {
  const { inputs = {}, outputs = {} } = resource;
  return { ...blankState(resource.urn, resource.type, {}), ...resource, inputs: openSecrets(inputs), outputs: openSecrets(outputs) };
}

/** An exported secret holds its value as JSON text, `plaintext`. */
function openSecrets(bag: Properties): Properties {
  const open = (secret: Secret) => (typeof secret.plaintext === "string" ? secretOf(JSON.parse(secret.plaintext)) : secret);
  return mapValues(bag, (value) => mapSecrets(value, open));
}

function closeSecrets(bag: Properties): Properties {
  const close = ({ value, ...signature }: Secret) => ({ ...signature, plaintext: JSON.stringify(value) });
  return mapValues(bag, (value) => mapSecrets(value, close));
}

/**
 * What the engine's provider process loads. Every resource in every state names this module and `providerFor`:
 * their path, names and meaning never change (decisions/0005).
 */

import type { dynamic } from "@pulumi/pulumi";
import { UserError } from "./core/errors.js";
import type { Lifecycle } from "./core/lifecycle.js";
import { adapt } from "./pulumi/adapter.js";
import { asError } from "./pulumi/guard.js";
import { domainDisk } from "./resources/domain-disk/lifecycle.js";
import { mirroredSnapshot } from "./resources/mirrored-snapshot/lifecycle.js";
import { storageMigration } from "./resources/storage-migration/lifecycle.js";

const lifecycles = new Map<string, Lifecycle>([
  ["DomainDisk", domainDisk],
  ["MirroredSnapshot", mirroredSnapshot],
  ["StorageMigration", storageMigration],
]);

/** As package.json's `engines` says. */
const oldestNode = 22;

const providers = new Map<string, dynamic.ResourceProvider>();

/**
 * The provider of a type of resource, always the same one in a process.
 * @throws Error if this version does not know `type`, or Node.js is too old
 */
export function providerFor(type: string, node = process.versions.node): dynamic.ResourceProvider {
  if (Number.parseInt(node, 10) < oldestNode) {
    throw asError(
      new UserError(
        `Unable to load ${type}: pulumi-livedisk needs Node.js ${oldestNode} or newer, and this is ${node}. Nothing was touched.`,
      ),
    );
  }
  const lifecycle = lifecycles.get(type);
  if (lifecycle === undefined) {
    throw asError(new UserError(`Unable to load ${type}: this version of pulumi-livedisk does not know it. Install a newer one.`));
  }
  const provider = providers.get(type) ?? adapt(lifecycle);
  providers.set(type, provider);
  return provider;
}

/**
 * What the engine's provider process loads. Every resource in every state names this module and `providerFor`:
 * their path, names and meaning never change.
 */

import { createRequire } from "node:module";
import type { dynamic } from "@pulumi/pulumi";
import { UserError } from "./errors.js";
import type { Lifecycle } from "./lifecycle.js";
import { adapt } from "./pulumi/adapter.js";
import { asError } from "./pulumi/guard.js";

const providers = new Map<string, dynamic.ResourceProvider>();

/**
 * The provider of a type of resource, always the same one in a process.
 * @throws UserError if this version does not know `type`
 */
export function providerFor(type: string): dynamic.ResourceProvider {
  const provider = providers.get(type) ?? adapt(lifecycleOf(type));
  providers.set(type, provider);
  return provider;
}

const load = createRequire(__filename);

function lifecycleOf(type: string): Lifecycle {
  switch (type) {
    case "DomainDisk":
      return load("./domain-disk/lifecycle.js").domainDisk;
    case "StorageMigration":
      return load("./storage-migration/lifecycle.js").storageMigration;
    default:
      throw asError(new UserError(`Unable to load ${type}: this version of pulumi-livedisk does not know it. Install a newer one.`));
  }
}

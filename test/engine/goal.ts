/** What the program wants of one resource. */

import type { ReadResourceRequest, RegisterResourceRequest } from "@pulumi/pulumi/proto/resource_pb.js";
import type { Properties } from "../../provider/core/lifecycle.js";
import { providerTypePrefix, type ResourceState } from "./deployment.js";
import { fromStruct } from "./wire.js";

export interface Goal {
  /** What becomes of the state, with neither id nor outputs yet. */
  state: ResourceState;
  /** Names that the resource had before. */
  aliases: string[];
  deleteBeforeReplace: boolean | undefined;
  replaceOnChanges: string[];
}

export interface StackName {
  stack: string;
  project: string;
}

/** `urn:pulumi:<stack>::<project>::<parent's types>$<type>::<name>`; the stack resource itself is not part of it. */
export function urnFor(names: StackName, type: string, name: string, parent: string): string {
  const parentType = parent.split("::")[2] ?? "";
  const qualified = parentType === "" || parentType === "pulumi:pulumi:Stack" ? type : `${parentType}$${type}`;
  return `urn:pulumi:${names.stack}::${names.project}::${qualified}::${name}`;
}

export function goalOf(names: StackName, request: RegisterResourceRequest): Goal {
  const urn = urnFor(names, request.getType(), request.getName(), request.getParent());
  const propertyDependencies: Record<string, string[]> = {};
  request.getPropertydependenciesMap().forEach((value, key) => {
    propertyDependencies[key] = value.getUrnsList();
  });
  return {
    state: {
      ...blankState(urn, request.getType(), fromStruct(request.getObject())),
      custom: request.getCustom(),
      parent: request.getParent(),
      provider: request.getProvider(),
      dependencies: request.getDependenciesList(),
      propertyDependencies,
      protect: request.getProtect() ?? false,
      retainOnDelete: request.getRetainondelete() ?? false,
      ignoreChanges: request.getIgnorechangesList(),
      additionalSecretOutputs: request.getAdditionalsecretoutputsList(),
    },
    aliases: request.getAliasurnsList(),
    deleteBeforeReplace: request.getDeletebeforereplacedefined() ? request.getDeletebeforereplace() : undefined,
    replaceOnChanges: request.getReplaceonchangesList(),
  };
}

/** The goal of `get`: a resource that somebody else owns. */
export function readGoalOf(names: StackName, request: ReadResourceRequest): ResourceState {
  const urn = urnFor(names, request.getType(), request.getName(), request.getParent());
  return {
    ...blankState(urn, request.getType(), fromStruct(request.getProperties())),
    id: request.getId(),
    custom: true,
    external: true,
    parent: request.getParent(),
    provider: request.getProvider(),
    dependencies: request.getDependenciesList(),
    additionalSecretOutputs: request.getAdditionalsecretoutputsList(),
  };
}

export function blankState(urn: string, type: string, inputs: Properties): ResourceState {
  return {
    urn,
    type,
    inputs,
    custom: false,
    id: "",
    parent: "",
    provider: "",
    outputs: {},
    dependencies: [],
    propertyDependencies: {},
    protect: false,
    retainOnDelete: false,
    external: false,
    initErrors: [],
    ignoreChanges: [],
    additionalSecretOutputs: [],
    delete: false,
  };
}

export function isProvider(resource: ResourceState): boolean {
  return resource.type.startsWith(providerTypePrefix);
}

export function nameOf(urn: string): string {
  return urn.split("::").at(-1) ?? urn;
}

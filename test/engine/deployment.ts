/** The stack's state: what the engine exports as JSON, kept in a file. */

import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import type { Properties } from "../../provider/core/lifecycle.js";

/** One resource as `pulumi stack export` shows it. */
export interface ResourceState {
  urn: string;
  type: string;
  custom: boolean;
  id: string;
  parent: string;
  /** `<urn of the provider>::<its id>`; empty for what needs none. */
  provider: string;
  inputs: Properties;
  outputs: Properties;
  dependencies: string[];
  propertyDependencies: Record<string, string[]>;
  protect: boolean;
  retainOnDelete: boolean;
  /** Only read, by `get`: never updated, never deleted. */
  external: boolean;
  initErrors: string[];
  ignoreChanges: string[];
  additionalSecretOutputs: string[];
  /** Replaced, and still to be deleted. */
  delete: boolean;
}

export interface PendingOperation {
  type: "creating" | "updating" | "deleting" | "reading";
  resource: ResourceState;
}

export interface DeploymentState {
  version: 3;
  deployment: { resources: ResourceState[]; pending_operations: PendingOperation[] };
}

export const providerTypePrefix = "pulumi:providers:";

/** A state in memory; an update writes each step of it to the file, a preview none. */
export class Deployment {
  readonly #state: DeploymentState;
  #frozen = false;

  private constructor(
    state: DeploymentState,
    readonly file: string | undefined,
  ) {
    this.#state = state;
  }

  static open(file: string, use: "preview" | "update"): Deployment {
    return new Deployment(readState(file), use === "update" ? file : undefined);
  }

  /** Writes nothing more: what is under way stays in the file as pending. */
  freeze(): void {
    this.#frozen = true;
  }

  get resources(): readonly ResourceState[] {
    return this.#state.deployment.resources;
  }

  /** The living resource of that name, not a replaced one. */
  find(urn: string): ResourceState | undefined {
    return this.resources.find((resource) => resource.urn === urn && !resource.delete);
  }

  /** Gives the first living resource among `aliases` the name `urn`, unless another one has it. */
  rename(aliases: readonly string[], urn: string): void {
    const old = this.find(urn) ? undefined : aliases.map((alias) => this.find(alias)).find((found) => found !== undefined);
    if (old === undefined) return;
    for (const other of this.dependents(old)) other.dependencies = other.dependencies.map((name) => (name === old.urn ? urn : name));
    old.urn = urn;
  }

  /** Puts `resource` in the place of the living one of its name. */
  put(resource: ResourceState): void {
    const at = this.resources.findIndex((other) => other.urn === resource.urn && !other.delete);
    this.#state.deployment.resources.splice(at < 0 ? this.resources.length : at, at < 0 ? 0 : 1, resource);
    this.#save();
  }

  remove(resource: ResourceState): void {
    const at = this.resources.indexOf(resource);
    if (at >= 0) this.#state.deployment.resources.splice(at, 1);
    this.#save();
  }

  /** Keeps a replaced resource until it is deleted. */
  markReplaced(resource: ResourceState): void {
    resource.delete = true;
    this.#save();
  }

  /** Does `work` with a note in the file that it is under way; only a dead engine leaves the note behind. */
  async journal<T>(type: PendingOperation["type"], resource: ResourceState, work: () => Promise<T>): Promise<T> {
    const operation = { type, resource };
    const operations = this.#state.deployment.pending_operations;
    operations.push(operation);
    this.#save();
    try {
      return await work();
    } finally {
      operations.splice(operations.indexOf(operation), 1);
      this.#save();
    }
  }

  /** The resources that stand on `resource`: by what they depend on, their parent or their provider. */
  dependents(resource: ResourceState): ResourceState[] {
    return this.resources.filter((other) => other !== resource && dependsOn(other, resource));
  }

  #save(): void {
    if (this.file === undefined || this.#frozen) return;
    writeFileSync(`${this.file}.new`, JSON.stringify(this.#state, undefined, 2));
    renameSync(`${this.file}.new`, this.file);
  }
}

/** What the file holds; a stack that was never updated is empty. */
export function readState(file: string): DeploymentState {
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : { version: 3, deployment: { resources: [], pending_operations: [] } };
}

function dependsOn(resource: ResourceState, other: ResourceState): boolean {
  const provider = `${other.urn}::${other.id}`;
  if (resource.dependencies.includes(other.urn) || resource.parent === other.urn || resource.provider === provider) return true;
  return Object.values(resource.propertyDependencies).some((urns) => urns.includes(other.urn));
}

/** A stack that declares what a test lists, on the guests of a stage; run by whichever engine is found. */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import type { Properties } from "../../provider/core/lifecycle.js";
import type { DeploymentState, ResourceState } from "../engine/deployment.js";
import { type Change, type Engine, type OperationOptions, type OperationResult, openEngine } from "../engine/engine.js";
import type { Guest } from "../sandbox/guest.js";
import type { Sandbox } from "../sandbox/sandbox.js";

/** One resource of the program in test/e2e/declared. */
export interface Declared {
  kind: "DomainDisk" | "StorageMigration" | "MirroredSnapshot" | "Provider" | "Echo";
  name: string;
  args: Properties;
  options?: Properties;
  /** The name of a declared `Provider`. */
  provider?: string;
  /** The id under which it is only read. */
  get?: string;
}

export type Verb = "preview" | "up" | "refresh" | "destroy";

/** The program is not compiled: it is found from the repository's root. */
const project = path.resolve(__dirname, "../../../test/e2e/declared");

/** A stack by its name; the same name goes on with the same state. */
export class DeclaredStack {
  constructor(
    readonly sandbox: Sandbox,
    readonly name = "test",
  ) {}

  /** One operation on a program of these resources. */
  async run(verb: Verb, resources: readonly Declared[], options: OperationOptions = {}): Promise<OperationResult> {
    return (await this.open(resources))[verb](options);
  }

  /** As {@link run}. @throws Error with all that the engine has shown, unless the operation succeeds */
  async must(verb: Verb, resources: readonly Declared[], options: OperationOptions = {}): Promise<OperationResult> {
    const result = await this.run(verb, resources, options);
    assert.ok(result.ok, `The ${verb} failed:\n${result.output}`);
    return result;
  }

  async importState(state: DeploymentState): Promise<void> {
    await (await this.open([])).importState(state);
  }

  async open(resources: readonly Declared[]): Promise<Engine> {
    const workFolder = path.join(this.sandbox.folder, "pulumi", this.name);
    await mkdir(workFolder, { recursive: true });
    return openEngine({
      project,
      workFolder,
      prefer: "cli",
      config: { "livedisk-declared:resources": JSON.stringify(resources) },
      secrets: { "livedisk-declared:key": await this.sandbox.privateKey() },
    });
  }
}

/** The arguments that say which guest: of this sandbox's host, by its monitor. */
export function placeOf(sandbox: Sandbox, guest: Guest): Properties {
  return { host: sandbox.host, domain: { qmp: guest.qmpSocket } };
}

/** What was changed of our resources, or in a preview would be: name, operation and properties. */
export function changesOf(changes: readonly Change[]): [string, Change["op"], string[]][] {
  const ours = changes.filter(({ op, type }) => type.startsWith("livedisk:") && op !== "same" && op !== "read");
  return ours.map(({ name, op, changedProperties }) => [name, op, changedProperties.filter((key) => !key.startsWith("__"))]);
}

/** What previews and updates said that they would do, without amounts. */
export function plansIn({ output }: OperationResult): string[] {
  const plans = [...output.matchAll(/plan: .*/g)].map(([line]) => line.trim().replace(/[\d.]+ [KMG]iB/g, "… MiB"));
  return [...new Set(plans)];
}

export function stored({ state }: OperationResult, name: string): ResourceState | undefined {
  return state.deployment.resources.find(({ urn, type }) => urn.endsWith(`::${name}`) && type.includes("livedisk"));
}

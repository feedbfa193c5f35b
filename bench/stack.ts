/** A stack of many resources, as it lies in an engine's state: made at once, since an `up` of a thousand would only measure the harness. */

import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Properties } from "../provider/core/lifecycle.js";
import type { ResourceState } from "../test/engine/deployment.js";
import { type Engine, openEngine } from "../test/engine/engine.js";
import { serveEngineLog } from "../test/engine/engine-log.js";
import { blankState, urnFor } from "../test/engine/goal.js";
import { ProviderProcess } from "../test/engine/provider-process.js";
import { defaultProviderType } from "../test/engine/providers.js";

/** The program is not compiled: it is found from the repository's root. */
const project = path.resolve(__dirname, "../../bench/program");
const names = { project: "livedisk-bench", stack: "test" };

/** `NothingAlike`: with a DomainDisk's outputs too; to the SDK each property is some promises, and a stack trace for each of them. */
type Idle = "Nothing" | "NothingAlike";
export type Kind = "DomainDisk" | "StorageMigration" | Idle;

/** The arguments of one resource, by its name. */
export type Disks = readonly (readonly [name: string, args: Properties])[];

/** The SDK's provider process by itself, without an engine's other parts. */
export class Provider implements AsyncDisposable {
  private constructor(
    readonly process: ProviderProcess,
    private readonly log: { close(): void },
  ) {}

  static async start(config: Properties = {}): Promise<Provider> {
    const log = await serveEngineLog(() => undefined);
    return new Provider(await ProviderProcess.start({ engineAddress: log.address, folder: project, project: names.project, config }), log);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process.close();
    this.log.close();
  }
}

export function urnOf(kind: Kind, name: string): string {
  return urnFor(names, `pulumi-nodejs:dynamic/livedisk:${kind}`, name, "");
}

/** What the program registers, besides the arguments. */
export function hiddenOf(kind: Exclude<Kind, Idle>, name: string): Properties {
  return {
    __provider: `exports.handler = () => require("pulumi-livedisk/dynamic").providerFor("${kind}")`,
    __urn: urnOf(kind, name),
  };
}

/** The stack with all disks in its state, as a read has shown them. */
export async function openStack(folder: string, kind: "DomainDisk" | Idle, disks: Disks): Promise<Engine> {
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, "disks.json");
  writeFileSync(file, JSON.stringify(disks));
  const config = { "livedisk-bench:kind": kind, "livedisk-bench:disks": file };
  const resources = await resourcesOf(kind, disks, config);
  writeFileSync(path.join(folder, "test.json"), JSON.stringify({ version: 3, deployment: { resources, pending_operations: [] } }));
  return openEngine({ project, workFolder: folder, config });
}

async function resourcesOf(kind: "DomainDisk" | Idle, disks: Disks, config: Properties): Promise<ResourceState[]> {
  const provider = {
    ...blankState(urnFor(names, defaultProviderType, "default", ""), defaultProviderType, config),
    custom: true,
    id: "default",
  };
  const whole = { ...provider, outputs: config };
  const seen = await read(disks);
  const ours = seen.map(({ name, inputs, outputs }) => {
    const state = kind === "DomainDisk" ? { inputs, outputs } : { inputs: idle(kind, name, inputs), outputs: idle(kind, name, outputs) };
    return { ...blankState(urnOf(kind, name), `pulumi-nodejs:dynamic/livedisk:${kind}`, state.inputs), ...state, custom: true, id: name };
  });
  const type = "pulumi:pulumi:Stack";
  const stack = blankState(urnFor(names, type, `${names.project}-${names.stack}`, ""), type, {});
  return [stack, whole, ...ours.map((resource) => ({ ...resource, parent: stack.urn, provider: `${whole.urn}::${whole.id}` }))];
}

interface Read {
  name: string;
  inputs: Properties;
  outputs: Properties;
}

/** As it was read, but with the provider that does nothing: the program's own text of it is not needed to read nothing. */
function idle(kind: Idle, name: string, bag: Properties): Properties {
  return { ...bag, __provider: nothing, __urn: urnOf(kind, name) };
}

const nothing = `exports.handler = () => ({
  check: async (olds, news) => ({ inputs: news, failures: [] }),
  diff: async () => ({ changes: false }),
  create: async (inputs) => ({ id: "nothing", outs: inputs }),
  read: async (id, props) => ({ id, props }),
})`;

async function read(disks: Disks): Promise<Read[]> {
  await using provider = await Provider.start();
  const all = disks.map(async ([name, args]) => {
    const { inputs } = await provider.process.check(urnOf("DomainDisk", name), {}, { ...args, ...hiddenOf("DomainDisk", name) });
    const properties = { ...inputs, schemaVersion: 1 };
    const { outputs } = await provider.process.read(urnOf("DomainDisk", name), name, { properties, inputs });
    return { name, inputs, outputs };
  });
  return await Promise.all(all);
}

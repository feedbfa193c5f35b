/** The SDK's real dynamic-provider process, started, called and ended as the engine does it. */

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { ResourceProviderClient } from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import * as messages from "@pulumi/pulumi/proto/provider_pb.js";
import type { CheckFailure, Properties } from "../../provider/core/lifecycle.js";
import { watchOver } from "../sandbox/processes.js";
import { initFailureOf } from "./init-failure.js";
import { sdkOf } from "./sdk.js";
import { ask, fromStruct, grpc, toStruct } from "./wire.js";

export interface ProviderStart {
  engineAddress: string;
  /** The program's folder: the provider's text is resolved from here. */
  folder: string;
  project: string;
  config: Properties;
  env?: Record<string, string>;
  onOutput?(line: string): void;
}

export interface ProviderDiff {
  changes: "some" | "none" | "unknown";
  replaces: string[];
  deleteBeforeReplace: boolean;
}

const graceSeconds = 5;

export class ProviderProcess {
  readonly exited: Promise<unknown>;
  readonly #client: ResourceProviderClient;

  private constructor(
    readonly child: ChildProcessByStdio<Writable, Readable, Readable>,
    port: string,
  ) {
    this.exited = once(child, "exit");
    this.#client = new ResourceProviderClient(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  }

  /** Starts the process in a group of its own, reads its port from the first line, and configures it. */
  static async start(start: ProviderStart): Promise<ProviderProcess> {
    // V8's young generation grows by steps of up to 16 MiB, which a soak of a few moves cannot tell from a leak
    const child = spawn(
      process.execPath,
      ["--max-semi-space-size=2", join(sdkOf(start.folder), "cmd/dynamic-provider"), start.engineAddress],
      {
        cwd: start.folder,
        detached: true,
        stdio: ["pipe", "pipe", "pipe"],
        env: { ...process.env, PULUMI_NODEJS_PROJECT: start.project, PULUMI_PROJECT: start.project, ...start.env },
      },
    );
    watchOver(child, "a dynamic provider"); // Ctrl-C does not reach a group of its own
    createInterface(child.stderr).on("line", (line) => start.onOutput?.(line));
    const lines = createInterface(child.stdout);
    const [port] = await Promise.race([once(lines, "line"), once(child, "exit").then(() => [""])]);
    if (port === "") throw new Error("The dynamic provider ended before it said its port.");
    lines.on("line", (line) => start.onOutput?.(line));
    const provider = new ProviderProcess(child, String(port));
    await provider.#configure(start.config);
    return provider;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  async check(urn: string, olds: Properties, news: Properties): Promise<{ inputs: Properties; failures: CheckFailure[] }> {
    const request = new messages.CheckRequest().setUrn(urn).setOlds(toStruct(olds)).setNews(toStruct(news));
    const reply = await ask<messages.CheckResponse>((done) => this.#client.check(request, done));
    return { inputs: fromStruct(reply.getInputs()), failures: reply.getFailuresList().map((failure) => failure.toObject()) };
  }

  /** `olds` are the outputs in the state; `oldInputs` go along, though this SDK does not pass them on. */
  async diff(urn: string, id: string, olds: Properties, news: Properties): Promise<ProviderDiff> {
    const request = new messages.DiffRequest().setUrn(urn).setId(id).setOlds(toStruct(olds)).setNews(toStruct(news));
    const reply = await ask<messages.DiffResponse>((done) => this.#client.diff(request, done));
    const { DIFF_SOME, DIFF_NONE } = messages.DiffResponse.DiffChanges;
    const changes = reply.getChanges() === DIFF_SOME ? "some" : reply.getChanges() === DIFF_NONE ? "none" : "unknown";
    return { changes, replaces: reply.getReplacesList(), deleteBeforeReplace: reply.getDeletebeforereplace() };
  }

  /** @throws InitFailed when the resource was made but is not whole */
  async create(urn: string, properties: Properties): Promise<{ id: string; outputs: Properties }> {
    const request = new messages.CreateRequest().setUrn(urn).setProperties(toStruct(properties));
    const reply = await ask<messages.CreateResponse>((done) => this.#client.create(request, done)).catch(throwInitFailure);
    return { id: reply.getId(), outputs: fromStruct(reply.getProperties()) };
  }

  /** An empty `id` in the answer: the resource is gone. On `get` the engine sends the inputs and no properties. */
  async read(urn: string, id: string, bag: { properties?: Properties; inputs: Properties }): Promise<ReadAnswer> {
    const request = new messages.ReadRequest().setUrn(urn).setId(id).setInputs(toStruct(bag.inputs));
    if (bag.properties) request.setProperties(toStruct(bag.properties));
    const reply = await ask<messages.ReadResponse>((done) => this.#client.read(request, done));
    const inputs = reply.hasInputs() ? fromStruct(reply.getInputs()) : undefined;
    return { id: reply.getId(), outputs: fromStruct(reply.getProperties()), inputs };
  }

  /** @throws InitFailed when the update stopped half-way */
  async update(urn: string, id: string, olds: Properties, news: Properties): Promise<Properties> {
    const request = new messages.UpdateRequest().setUrn(urn).setId(id).setOlds(toStruct(olds)).setNews(toStruct(news));
    const reply = await ask<messages.UpdateResponse>((done) => this.#client.update(request, done)).catch(throwInitFailure);
    return fromStruct(reply.getProperties());
  }

  async delete(urn: string, id: string, properties: Properties): Promise<void> {
    const request = new messages.DeleteRequest().setUrn(urn).setId(id).setProperties(toStruct(properties));
    await ask((done) => this.#client.delete(request, done));
  }

  /** The engine's close: SIGINT to the group, and after five seconds SIGKILL. */
  async close(): Promise<void> {
    const killer = setTimeout(() => this.kill("SIGKILL"), graceSeconds * 1000);
    this.kill("SIGINT");
    await this.exited;
    clearTimeout(killer);
    this.#client.close();
  }

  /** Sends a signal to the provider's process group. */
  kill(signal: NodeJS.Signals): void {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    try {
      process.kill(-this.pid, signal);
    } catch (thrown) {
      // killed by somebody else: it is gone, and its exit is still to be told
      if (!(thrown instanceof Error && "code" in thrown && thrown.code === "ESRCH")) throw thrown;
    }
  }

  async #configure(config: Properties): Promise<void> {
    const request = new messages.ConfigureRequest().setArgs(toStruct(config));
    await ask((done) => this.#client.configure(request, done));
  }
}

export interface ReadAnswer {
  id: string;
  outputs: Properties;
  inputs: Properties | undefined;
}

function throwInitFailure(error: unknown): never {
  throw initFailureOf(error) ?? error;
}

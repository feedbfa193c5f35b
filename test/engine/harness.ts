/**
 * Plays the Pulumi engine: the SDK's real program runner and real dynamic-provider process, between them our resource monitor and
 * a state file. Its results are "harness", not the engine; `reference` for each rule is pulumi/pulumi pkg/resource/deploy.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { version } from "@pulumi/pulumi/version.js";
import { deleteResources } from "./deletion.js";
import { Deployment, type DeploymentState, type ResourceState, readState } from "./deployment.js";
import { Display } from "./display.js";
import type { Engine, EngineSettings, OperationOptions, OperationResult } from "./engine.js";
import { serveEngineLog } from "./engine-log.js";
import { blankState, type StackName } from "./goal.js";
import { serveMonitor } from "./monitor.js";
import { Operation } from "./operation.js";
import { Program } from "./program.js";
import { type Project, readProject } from "./project.js";
import { Providers } from "./providers.js";
import { refreshAll } from "./refreshing.js";
import { Steps } from "./steps.js";
import { secretOf } from "./values.js";

type Kind = "preview" | "up" | "refresh" | "destroy";

export function openHarness(settings: EngineSettings): Engine {
  mkdirSync(settings.workFolder, { recursive: true });
  const harness = new Harness(settings, readProject(settings.project));
  return {
    describe: () => `harness (SDK ${version})`,
    preview: (options = {}) => harness.run("preview", options),
    up: (options = {}) => harness.run("up", options),
    refresh: (options = {}) => harness.run("refresh", options),
    destroy: (options = {}) => harness.run("destroy", options),
    importState: async (state) => harness.importState(state),
  };
}

class Harness {
  readonly #names: StackName;
  readonly #stateFile: string;

  constructor(
    readonly settings: EngineSettings,
    readonly project: Project,
  ) {
    this.#names = { project: project.name, stack: settings.stack ?? "test" };
    this.#stateFile = join(settings.workFolder, `${this.#names.stack}.json`);
  }

  async run(kind: Kind, options: OperationOptions): Promise<OperationResult> {
    const display = new Display((line) => options.onProgress?.(line));
    const engineLog = await serveEngineLog((line) => display.log(line));
    const pids: number[] = [];
    const operation = this.#operation(kind, display, engineLog.address, options, pids);
    const stop = () => this.#stop(operation);
    options.signal?.addEventListener("abort", stop);
    try {
      if (kind === "refresh" || this.project.refresh === "always") await refreshAll(operation);
      if (!operation.failed.aborted) await this.#proceed(kind, operation, engineLog.address, options);
    } finally {
      options.signal?.removeEventListener("abort", stop);
      await operation.parts.providers.close();
      engineLog.close();
    }
    return this.#result(kind, operation, options, pids);
  }

  importState(state: DeploymentState): void {
    writeFileSync(this.#stateFile, JSON.stringify(state));
  }

  #operation(kind: Kind, display: Display, engineAddress: string, options: OperationOptions, pids: number[]): Operation {
    const use = kind === "preview" ? "preview" : "update";
    const { settings, project } = this;
    const secrets = Object.entries(settings.secrets ?? {}).map(([key, value]) => [key, secretOf(value)]);
    return new Operation({
      use,
      names: this.#names,
      config: { ...settings.config, ...Object.fromEntries(secrets) },
      deployment: Deployment.open(this.#stateFile, use),
      providers: new Providers(
        {
          engineAddress,
          folder: project.programFolder,
          project: project.name,
          env: options.env ?? {},
          onOutput: (line) => display.show(`  ${line}`),
        },
        (pid) => {
          pids.push(pid);
          options.onProviderStarted?.(pid);
        },
      ),
      display,
    });
  }

  async #proceed(kind: Kind, operation: Operation, engineAddress: string, options: OperationOptions): Promise<void> {
    if (kind === "destroy") return deleteResources(operation, operation.deployment.resources, "unwanted");
    if (kind === "refresh") return;
    const steps = new Steps(operation);
    const monitor = await serveMonitor(operation, steps);
    const status = options.registered
      ? await registerAgain(steps, options.registered)
      : await this.#runProgram(operation, { monitorAddress: monitor.address, engineAddress }, options);
    await steps.settle();
    monitor.close();
    if (operation.failed.aborted) return;
    if (status !== 0) return operation.fail("", `the program ended with exit status ${status}`);
    const { deployment, seen } = operation;
    await deleteResources(
      operation,
      deployment.resources.filter((resource) => resource.delete),
      "replaced",
    );
    await deleteResources(
      operation,
      deployment.resources.filter((resource) => !seen.has(resource.urn)),
      "unwanted",
    );
  }

  async #runProgram(operation: Operation, addresses: { monitorAddress: string; engineAddress: string }, options: OperationOptions) {
    const { config = {}, secrets = {} } = this.settings;
    const program = Program.start({
      ...addresses,
      project: this.project,
      names: this.#names,
      use: operation.parts.use,
      config: { ...config, ...secrets },
      secretKeys: Object.keys(secrets),
      env: options.env ?? {},
      onOutput: (line) => operation.failed.aborted || operation.parts.display.show(`  ${line}`),
    });
    const kill = () => program.kill();
    operation.failed.addEventListener("abort", kill);
    if (operation.failed.aborted) kill();
    return program.exitStatus;
  }

  /** From here on nothing more is recorded, as in an engine that is told to end at once. */
  #stop(operation: Operation): void {
    operation.deployment.freeze();
    operation.fail("", "the operation was told to end");
    operation.parts.providers.close().catch(() => undefined);
  }

  #result(kind: Kind, operation: Operation, options: OperationOptions, pids: number[]): OperationResult {
    const { deployment, changes, refreshed, parts } = operation;
    const changed = [...changes, ...refreshed].filter(({ op }) => op !== "same" && op !== "read");
    if (options.expectNoChanges && changed.length > 0) {
      operation.fail("", `no changes were expected but changes ${kind === "preview" ? "were proposed" : "occurred"}`);
    }
    parts.display.show(summaryOf(operation, changed.length));
    const stack = deployment.resources.find(({ type }) => type === "pulumi:pulumi:Stack");
    return {
      ok: !operation.failed.aborted,
      exitStatus: operation.failed.aborted ? 255 : 0,
      output: parts.display.lines.join("\n"),
      changes,
      refreshed,
      state: readState(this.#stateFile),
      outputs: stack?.outputs ?? {},
      ...(pids.length > 0 && { providerPid: pids.at(-1) ?? 0 }),
    };
  }
}

/** In the program's place. @returns its exit status */
async function registerAgain(steps: Steps, resources: readonly ResourceState[]): Promise<number> {
  for (const { urn, type, inputs, custom, parent } of resources) {
    const state = { ...blankState(urn, type, inputs), custom, parent };
    // what fails is shown by the steps themselves
    await steps.register({ state, aliases: [], deleteBeforeReplace: undefined, replaceOnChanges: [] }).catch(() => undefined);
  }
  return 0;
}

function summaryOf({ parts, changes, failed }: Operation, changed: number): string {
  if (failed.aborted) return "Failed.";
  return `${parts.use === "preview" ? "Would change" : "Changed"}: ${changed}, unchanged: ${changes.filter(({ op }) => op === "same").length}`;
}

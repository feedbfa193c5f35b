/** A real `pulumi`, if this machine has one: its home, its backend and its stack's configuration all lie in the work folder. */

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { type CliEvents, followEvents } from "./cli-events.js";
import { exportedState, importableState } from "./cli-state.js";
import type { DeploymentState } from "./deployment.js";
import type { Engine, EngineSettings, OperationOptions, OperationResult } from "./engine.js";
import { type Project, projectTextFor, readProject } from "./project.js";
import { watchProviders } from "./provider-watch.js";

type Kind = "preview" | "up" | "refresh" | "destroy";

/** The program and its version, from PATH or from where the npm package `pulumi` keeps what it has downloaded. */
export async function findCli(): Promise<{ program: string; version: string } | undefined> {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const cache = join(process.env.PULUMI_HOME ?? join(homedir(), ".pulumi"), "versions");
  const cached = existsSync(cache) ? readdirSync(cache).map((version) => join(cache, version, "bin")) : [];
  const program = [...folders, ...cached.sort().reverse()].map((folder) => join(folder, "pulumi")).find(isCli);
  if (program === undefined) return undefined;
  const { stdout } = await promisify(execFile)(program, ["version"], { env: { ...process.env, PULUMI_SKIP_UPDATE_CHECK: "true" } });
  return { program, version: stdout.trim() };
}

/** The npm package's own `pulumi` is a script that would download the CLI: not that one. */
function isCli(program: string): boolean {
  try {
    accessSync(program, constants.X_OK);
    return !realpathSync(program).endsWith(".js");
  } catch {
    return false;
  }
}

export async function openCli(found: { program: string; version: string }, settings: EngineSettings): Promise<Engine> {
  const cli = new Cli(found.program, settings, readProject(settings.project));
  await cli.prepare();
  return {
    describe: () => `pulumi ${found.version}`,
    preview: (options = {}) => cli.run("preview", options),
    up: (options = {}) => cli.run("up", options),
    refresh: (options = {}) => cli.run("refresh", options),
    destroy: (options = {}) => cli.run("destroy", options),
    importState: (state) => cli.importState(state),
  };
}

class Cli {
  readonly #stack: string;
  /** A Pulumi.yaml of our own, so that the stack's configuration is not written beside the user's. */
  readonly #folder: string;
  #operations = 0;

  constructor(
    readonly program: string,
    readonly settings: EngineSettings,
    readonly project: Project,
  ) {
    this.#stack = settings.stack ?? "test";
    this.#folder = join(settings.workFolder, "project");
  }

  async prepare(): Promise<void> {
    const { workFolder, config = {}, secrets = {} } = this.settings;
    for (const name of ["project", "backend", "home"]) mkdirSync(join(workFolder, name), { recursive: true });
    writeFileSync(join(this.#folder, "Pulumi.yaml"), projectTextFor(this.project));
    if (!existsSync(join(this.#folder, `Pulumi.${this.#stack}.yaml`))) await this.#ask(["stack", "init", this.#stack]);
    for (const [key, value] of Object.entries(config)) await this.#ask(["config", "set", "--stack", this.#stack, "--", key, value]);
    for (const [key, value] of Object.entries(secrets))
      await this.#ask(["config", "set", "--secret", "--stack", this.#stack, "--", key, value]);
  }

  async run(kind: Kind, options: OperationOptions): Promise<OperationResult> {
    const lines: string[] = [];
    const pids: number[] = [];
    const show = (line: string) => {
      lines.push(line);
      options.onProgress?.(line);
    };
    const eventLog = join(this.settings.workFolder, `events-${this.#operations++}.json`);
    const child = spawn(this.program, this.#argumentsFor(kind, eventLog, options), {
      cwd: this.#folder,
      env: { ...this.#environment(), ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const events = followEvents(eventLog, show);
    const providers = watchProviders(child.pid ?? 0, (pid) => {
      pids.push(pid);
      options.onProviderStarted?.(pid);
    });
    for (const stream of [child.stdout, child.stderr]) createInterface(stream).on("line", show);
    // The first SIGINT only asks; the second is what ends the providers.
    const end = () => [0, 500].map((delayMs) => setTimeout(() => child.kill("SIGINT"), delayMs));
    options.signal?.addEventListener("abort", end);
    const [status] = await once(child, "close");
    options.signal?.removeEventListener("abort", end);
    providers.stop();
    return this.#result({ exitStatus: Number(status ?? 255), lines, events: await events.finish(), pids });
  }

  async importState(state: DeploymentState): Promise<void> {
    const file = join(this.settings.workFolder, "import.json");
    const settings = readFileSync(join(this.#folder, `Pulumi.${this.#stack}.yaml`), "utf8");
    writeFileSync(file, importableState(state, /encryptionsalt: (\S+)/.exec(settings)?.[1] ?? ""));
    await this.#ask(["stack", "import", "--stack", this.#stack, "--file", file]);
  }

  #argumentsFor(kind: Kind, eventLog: string, options: OperationOptions): string[] {
    return [
      ...[kind, "--stack", this.#stack, "--non-interactive", "--color", "never", "--diff", "--event-log", eventLog],
      ...(kind === "preview" ? [] : ["--yes", "--skip-preview"]),
      ...(options.expectNoChanges ? ["--expect-no-changes"] : []),
    ];
  }

  async #result(ended: { exitStatus: number; lines: string[]; events: CliEvents; pids: number[] }): Promise<OperationResult> {
    const { exitStatus, lines, events, pids } = ended;
    const state = exportedState(await this.#ask(["stack", "export", "--show-secrets", "--stack", this.#stack]));
    const stack = state.deployment.resources.find(({ type }) => type === "pulumi:pulumi:Stack");
    return {
      ...events,
      ok: exitStatus === 0,
      exitStatus,
      output: lines.join("\n"),
      state,
      outputs: stack?.outputs ?? {},
      ...(pids.length > 0 && { providerPid: pids.at(-1) ?? 0 }),
    };
  }

  async #ask(args: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(this.program, ["--non-interactive", ...args], {
      cwd: this.#folder,
      env: this.#environment(),
      maxBuffer: 64 << 20,
    });
    return stdout;
  }

  #environment(): NodeJS.ProcessEnv {
    const { workFolder } = this.settings;
    return {
      ...process.env,
      PATH: [dirname(this.program), dirname(process.execPath), process.env.PATH].join(delimiter),
      NO_COLOR: "1",
      PULUMI_HOME: join(workFolder, "home"),
      PULUMI_BACKEND_URL: pathToFileURL(join(workFolder, "backend")).href,
      PULUMI_CONFIG_PASSPHRASE: "test",
      // makes --event-log known
      PULUMI_DEBUG_COMMANDS: "true",
      PULUMI_SKIP_UPDATE_CHECK: "true",
    };
  }
}

/** One interface over whatever plays the Pulumi engine: the harness, or a real CLI. Tests and `npm start` know nothing else. */

import type { Properties } from "../../provider/core/lifecycle.js";
import { findCli, openCli } from "./cli.js";
import type { DeploymentState, ResourceState } from "./deployment.js";
import { openHarness } from "./harness.js";

export interface EngineSettings {
  /** The folder that holds Pulumi.yaml. */
  project: string;
  /** An empty folder for the state; the same one continues the stack. */
  workFolder: string;
  /** @default "test" */
  stack?: string;
  /** Stack configuration by full key, such as `livedisk:user`. */
  config?: Record<string, string>;
  /** Like `config`, but secret. */
  secrets?: Record<string, string>;
  /**
   * `cli` takes a real `pulumi` where there is one, else the harness.
   * @default "harness"
   */
  prefer?: "harness" | "cli";
}

export interface OperationOptions {
  /** Each line as it is shown. */
  onProgress?(line: string): void;
  /** Fails if anything was, or in a preview would be, changed. */
  expectNoChanges?: boolean;
  /** Called with the process id of each dynamic-provider process; the real engine may run a second, idle one. */
  onProviderStarted?(pid: number): void;
  /** Ends the operation as the engine's close does: SIGINT to the provider, and after five seconds SIGKILL. */
  signal?: AbortSignal;
  /** What an earlier run's program registered, perhaps with other inputs: the harness registers it again, and runs no program. */
  registered?: readonly ResourceState[];
  env?: Record<string, string>;
}

export interface Change {
  urn: string;
  name: string;
  type: string;
  op: "create" | "update" | "delete" | "replace" | "same" | "read";
  /** The innermost paths that differ, such as `disks[1].file`. */
  changedProperties: string[];
  /** The detailed difference, one line for each property. */
  diff: string;
}

export interface OperationResult {
  ok: boolean;
  exitStatus: number;
  /** All that was shown. */
  output: string;
  /** What the operation did or, in a preview, would do. */
  changes: Change[];
  /** What a refresh before it, or `refresh` itself, found. */
  refreshed: Change[];
  /** Secrets are `{ "4dabf18193072939515e22adb298388d": …, value }`. */
  state: DeploymentState;
  /** The program's exports. */
  outputs: Properties;
  /** The last provider process that was started. */
  providerPid?: number;
}

export interface Engine {
  /** Which engine it is, for reports: `pulumi v3.260.0` or `harness (SDK 3.270.0)`. */
  describe(): string;
  preview(options?: OperationOptions): Promise<OperationResult>;
  up(options?: OperationOptions): Promise<OperationResult>;
  refresh(options?: OperationOptions): Promise<OperationResult>;
  destroy(options?: OperationOptions): Promise<OperationResult>;
  /** Puts `state` in the place of the stack's, as `pulumi stack import` does. */
  importState(state: DeploymentState): Promise<void>;
}

export async function openEngine(settings: EngineSettings): Promise<Engine> {
  const cli = settings.prefer === "cli" ? await findCli() : undefined;
  return cli === undefined ? openHarness(settings) : openCli(cli, settings);
}

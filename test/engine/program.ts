/** The program, run by the SDK's real runner against our resource monitor. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { watchOver } from "../sandbox/processes.js";
import type { StackName } from "./goal.js";
import type { Project } from "./project.js";
import { sdkOf } from "./sdk.js";

export interface ProgramStart {
  project: Project;
  names: StackName;
  use: "preview" | "update";
  monitorAddress: string;
  engineAddress: string;
  config: Record<string, string>;
  secretKeys: string[];
  env: Record<string, string>;
  onOutput(line: string): void;
}

export class Program {
  readonly exitStatus: Promise<number>;

  private constructor(readonly child: ChildProcess) {
    this.exitStatus = once(child, "close").then(([status]) => Number(status ?? 1));
  }

  static start(start: ProgramStart): Program {
    const child = spawn(
      process.execPath,
      [join(sdkOf(start.project.programFolder), "cmd/run"), ...argumentsOf(start), start.project.entry],
      {
        cwd: start.project.programFolder,
        stdio: ["ignore", "pipe", "pipe"],
        env: {
          ...process.env,
          NO_COLOR: "1",
          PULUMI_CONFIG: JSON.stringify(start.config),
          PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(start.secretKeys),
          PULUMI_NODEJS_TYPESCRIPT: String(start.project.typescript),
          ...start.env,
        },
      },
    );
    watchOver(child, "a Pulumi program");
    for (const stream of [child.stdout, child.stderr]) createInterface(stream).on("line", start.onOutput);
    return new Program(child);
  }

  /** Once a step has failed the program waits for an answer that never comes. */
  kill(): void {
    this.child.kill("SIGKILL");
  }
}

function argumentsOf({ project, names, use, monitorAddress, engineAddress }: ProgramStart): string[] {
  return [
    ...["--monitor", monitorAddress, "--engine", engineAddress],
    ...["--organization", "organization", "--project", names.project, "--stack", names.stack],
    ...["--root-directory", project.folder, "--pwd", project.programFolder, "--parallel", "16"],
    ...(use === "preview" ? ["--dry-run"] : []),
  ];
}

/** This machine as a host whose commands run in one shell that stays open, as over SSH: a fraction of what a process for each takes. */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import type { Socket } from "node:net";
import type { Finished, RunOptions } from "../../provider/host/host.js";
import { quote, scriptText } from "../../provider/host/quoting.js";
import { LocalHost } from "../hypervisor/qemu/local-host.js";

const mark = "livedisk-test-over";

/** Runs one script after the other. It ends with the process that began it, since its input does. */
class OpenShell {
  private readonly shell: ChildProcessWithoutNullStreams;
  private readonly heard = { stdout: "", stderr: "" };
  private before: Promise<unknown> = Promise.resolve();
  private ended: ((finished: Finished) => void) | undefined;

  constructor() {
    this.shell = spawn("sh", [], { stdio: "pipe" });
    for (const name of ["stdout", "stderr"] as const) {
      this.shell[name].setEncoding("utf8").on("data", (piece: string) => {
        this.heard[name] += piece;
        this.tell();
      });
    }
    // nobody waits for it at the end
    this.shell.unref();
    for (const pipe of this.shell.stdio) (pipe as Socket).unref();
  }

  run(text: string, stdin: string): Promise<Finished> {
    const line = `printf %s ${quote(stdin)} | ( eval ${quote(text)} )\nprintf '\\n${mark} %s\\n' $?; printf '\\n${mark}\\n' >&2\n`;
    const mine = this.before.then(() => this.answer(line));
    this.before = mine;
    return mine;
  }

  private async answer(line: string): Promise<Finished> {
    // what is waited for keeps the process alive
    for (const pipe of this.shell.stdio) (pipe as Socket).ref();
    const finished = new Promise<Finished>((resolve) => {
      this.ended = resolve;
    });
    this.shell.stdin.write(line);
    const answer = await finished;
    for (const pipe of this.shell.stdio) (pipe as Socket).unref();
    return answer;
  }

  private tell(): void {
    const out = new RegExp(`\\n${mark} (\\d+)\\n$`).exec(this.heard.stdout);
    if (!out || !this.heard.stderr.endsWith(`\n${mark}\n`)) return;
    const stdout = this.heard.stdout.slice(0, out.index);
    const stderr = this.heard.stderr.slice(0, -mark.length - 2);
    this.heard.stdout = "";
    this.heard.stderr = "";
    this.ended?.({ exitStatus: Number(out[1]), stdout, stderr });
  }
}

let shell: OpenShell | undefined;

export class ShellHost extends LocalHost {
  override run(script: string, args: readonly string[] = [], options: RunOptions = {}): Promise<Finished> {
    this.opened.commands++;
    shell ??= new OpenShell();
    return shell.run(scriptText(script, args), String(options.stdin ?? ""));
  }
}

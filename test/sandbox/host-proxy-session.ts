/**
 * What sshd runs in place of a session's command: that command, with host-proxy.ts asked about each line of its input.
 * Its parent is sshd and its child the shell, so that scripts which look for the sshd above them still find it.
 */

import { spawn } from "node:child_process";
import net from "node:net";
import readline from "node:readline";
import { CommandCutter, type CutCommand, type Passed } from "./host-command.js";
import type { Question } from "./host-proxy.js";

/** A line to a script that answers nothing counts as carried out by then. */
const silentMs = 300;
/** No answer is waited for longer. */
const patienceMs = 20_000;

const proxy = net.connect(process.argv[2] ?? "");
const shell = spawn("/bin/sh", ["-c", process.env.SSH_ORIGINAL_COMMAND ?? ""], { stdio: ["pipe", "pipe", "pipe"] });

/** What the shell has said and nobody has been told; none is kept while nothing is withheld. */
let withheld: { channel: "stdout" | "stderr"; piece: Buffer }[] | undefined;
let heard = () => {};

for (const channel of ["stdout", "stderr"] as const) {
  shell[channel].on("data", (piece: Buffer) => {
    if (withheld === undefined) process[channel].write(piece);
    else withheld.push({ channel, piece });
    heard();
  });
  // as if the shell itself had written to a connection that is gone
  process[channel].on("error", () => shell[channel].destroy());
}
shell.stdin.on("error", () => undefined);
shell.on("close", (status, signal) => {
  process.exitCode = status ?? (signal === null ? 1 : 137);
  process.stdout.write("", () => process.exit());
});

const words: ((word: string) => void)[] = [];
readline
  .createInterface({ input: proxy })
  .on("line", (word) => words.shift()?.(word))
  .on("error", () => undefined);
proxy.on("error", () => undefined);

/** An answer never comes once the proxy is gone: then nothing more is passed on. */
function ask(question: Question): Promise<string> {
  return new Promise((resolve) => {
    words.push(resolve);
    proxy.write(`${JSON.stringify(question)}\n`);
  });
}

/** In another's place nothing is passed on any more; a request that is lost is one of many. */
let lost = false;

async function pass(cut: CutCommand | Passed): Promise<void> {
  if (lost) return;
  if (cut.form === "passed") return void shell.stdin.write(cut.bytes);
  const { bytes, answer, ...command } = cut;
  const verdict = await ask({ ask: "before", command });
  if (verdict === "drop") return;
  lost = verdict === "cut";
  if (lost) return;
  if (verdict === "forward") return void shell.stdin.write(bytes);
  withheld = [];
  shell.stdin.write(bytes);
  await answered(answer);
  const garble = (line: string) => `${"?".repeat(line.length - 1)}\n`;
  if (verdict === "garble") release((line) => (answer?.test(line) ? garble(line) : line));
  else if ((await ask({ ask: "answered", command })) === "release") release((line) => line);
  else release((line) => (answer?.test(line) ? "" : line));
}

/** What was withheld, a line each, as it is made; what is no whole line yet goes on as it is. */
function release(made: (line: string) => string): void {
  for (const channel of ["stdout", "stderr"] as const) {
    const pieces = (withheld ?? []).filter((one) => one.channel === channel).map(({ piece }) => piece);
    const lines =
      Buffer.concat(pieces)
        .toString("latin1")
        .match(/[^\n]*\n|[^\n]+$/g) ?? [];
    process[channel].write(Buffer.from(lines.map(made).join(""), "latin1"));
  }
  withheld = undefined;
}

function answered(answer: RegExp | undefined): Promise<void> {
  return new Promise((resolve) => {
    const deadline = setTimeout(resolve, answer === undefined ? silentMs : patienceMs);
    heard = () => {
      const said = Buffer.concat((withheld ?? []).filter(({ channel }) => channel === "stdout").map(({ piece }) => piece));
      if (answer === undefined ? said.length === 0 : !answer.test(said.toString("latin1"))) return;
      clearTimeout(deadline);
      resolve();
    };
  });
}

const cutter = new CommandCutter();
let passed: Promise<void> = Promise.resolve();
process.stdin
  .on("data", (piece: Buffer) => {
    for (const command of cutter.push(piece)) passed = passed.then(() => pass(command));
  })
  .on("error", () => undefined)
  .on("end", () => {
    passed = passed.then(() => void shell.stdin.end());
  });

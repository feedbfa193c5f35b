/** What the worker's python modules say to virsh and to QEMU by themselves, and where they start programs. */

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

const folder = path.resolve(__dirname, "../../../provider/host/worker");

/** Module → its text. */
export type Modules = ReadonlyMap<string, string>;

export function modulesOfWorker(): Modules {
  const files = readdirSync(folder).filter((file) => file.endsWith(".py"));
  return new Map(files.map((file) => [file, readFileSync(path.join(folder, file), "utf8")]));
}

const ofVirsh = /^class Virsh\b|^from worker\.(virsh|libvirt_talk) import/m;

export function virshOfWorker(modules = modulesOfWorker()): string[] {
  const text = [...modules.values()].filter((each) => ofVirsh.test(each)).join("\n");
  return named("virsh", text.matchAll(/\b(?:command|do|tell|ask)\("([a-z]+(?:-[a-z]+)*)/g));
}

/** What is said to every monitor when it is opened. */
export function qmpOfGreeting(modules = modulesOfWorker()): string[] {
  return named("QMP", [...modules.values()].join("\n").matchAll(/"execute": "([a-z_-]+)"/g));
}

/** What a switch says to QEMU, the greeting of a monitor that is opened once more included. */
export function qmpOfSwitch(modules = modulesOfWorker()): string[] {
  const text = [...modules.values()].filter((each) => !ofVirsh.test(each)).join("\n");
  return [...qmpOfGreeting(modules), ...named("QMP", text.matchAll(/\.(?:ask|each|execute)\("([a-z_-]+)"/g))];
}

function named(kind: string, found: Iterable<RegExpMatchArray>): string[] {
  return [...new Set([...found].map(([, word]) => `${kind} ${word}`))];
}

const starting =
  /\b(?:Child\(|(?:os\.(?:popen|system|exec\w*|spawn\w*|posix_spawn\w*|fork\w*)|pty\.\w+|subprocess\.(?!PIPE|STDOUT|DEVNULL|Popen\[)\w+)\()/;

/** Modules that start a program, or a child without one. */
export function startersIn(modules: Modules): string[] {
  return [...modules]
    .filter(([, text]) => starting.test(text) || /^(from|import) (subprocess|multiprocessing|pty)\b/m.test(text))
    .map(([file]) => file);
}

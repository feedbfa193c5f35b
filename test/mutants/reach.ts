/** Which test files run a file of the provider, and by how long a way of imports. */

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { importsOf, type Sources } from "../architecture/imports.js";
import { root } from "./compiler.js";

/** As `provider/core/errors.ts` → its text. */
export function sourcesIn(...folders: readonly string[]): Sources {
  const files = folders.flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"))
      .map((file) => path.posix.join(folder, file.split(path.sep).join("/"))),
  );
  return new Map(files.map((file) => [file, readFileSync(path.join(root, file), "utf8")]));
}

/** What a file runs in a process of its own, which no import tells: another compiled file, and what a Pulumi program loads. */
function startedBy(file: string, text: string): string[] {
  const named = [...text.matchAll(/(?:join|resolve)\(__dirname, "([\w./-]+)\.js"\)/g)].map(([, name]) => `${name}.ts`);
  const programs = file === "test/engine/program.ts" ? ["provider/index.ts", "provider/dynamic.ts"] : [];
  return [...named.map((name) => path.posix.join(path.posix.dirname(file), name)), ...programs];
}

export class Reach {
  readonly #next = new Map<string, readonly string[]>();

  constructor(private readonly sources: Sources) {}

  /** Files that `start` runs, each with the number of steps to it. */
  from(start: string): ReadonlyMap<string, number> {
    const steps = new Map([[start, 0]]);
    for (const [file, step] of steps) for (const next of this.#nextOf(file)) if (!steps.has(next)) steps.set(next, step + 1);
    return steps;
  }

  #nextOf(file: string): readonly string[] {
    const known = this.#next.get(file);
    if (known) return known;
    const text = this.sources.get(file) ?? "";
    const imported = importsOf(file, text).flatMap(({ kind, file: next }) => (kind === "value" && next !== undefined ? [next] : []));
    const all = [...imported, ...startedBy(file, text)].filter((next) => this.sources.has(next));
    this.#next.set(file, all);
    return all;
  }
}

/** Test files that run `file`, nearest first: few imports away, or of the same thing. @param tests as `test/host/run.test.js` */
export function nearest(file: string, tests: readonly string[], reach: Reach): string[] {
  const ways = tests.flatMap((test) => {
    const steps = reach.from(test.replace(/\.js$/, ".ts")).get(file);
    return steps === undefined ? [] : [{ test, steps: steps - kinship(file, test) }];
  });
  return ways.sort((a, b) => a.steps - b.steps || a.test.localeCompare(b.test)).map(({ test }) => test);
}

/** What the tests of a folder are called where that is another name. */
const alsoCalled: Readonly<Record<string, readonly string[]>> = {
  move: ["migration"],
  journal: ["migration"],
  pull: ["base"],
  storage: ["image"],
};

/** Steps by which a test is nearer for its name. A guest that libvirt manages boots for half a minute: it is for libvirt's own files first. */
function kinship(file: string, test: string): number {
  const [own, others] = [wordsOf(file), wordsOf(test)];
  const known = [...own, ...own.flatMap((word) => alsoCalled[word] ?? [])];
  const isForeign = others.includes("libvirt") && !own.includes("libvirt");
  return 2 * others.filter((word) => known.includes(word)).length - (isForeign ? 5 : 0);
}

function wordsOf(file: string): string[] {
  return file.split(/[/.-]/).filter((word) => !["test", "provider", "ts", "js"].includes(word));
}

/**
 * `npm run bench -- [--only NAME] [--json] [--size full|tiny] [--count NUMBER]`: figures of one run, with the sides interleaved. Never a test:
 * whether a figure is as wanted depends on the machine. `--size tiny` shows only that each benchmark works; `--count`, with `--only switch`,
 * makes a run shorter or longer.
 */

import { readFileSync } from "node:fs";
import os from "node:os";
import { parseArgs } from "node:util";
import { messageOf } from "../provider/core/errors.js";
import { run } from "../test/sandbox/command.js";
import { installMissing } from "../test/sandbox/install.js";
import { drift } from "./drift.js";
import { type Figure, median, table, verdict, verdictIn } from "./figures.js";
import { footprint } from "./footprint.js";
import { guest } from "./guest.js";
import { many } from "./many.js";
import { move } from "./move.js";
import type { Benchmark, Size } from "./size.js";
import { switching } from "./switch.js";

export const benchmarks: Readonly<Record<string, Benchmark>> = { drift, move, guest, many, switch: switching, footprint };

async function main(): Promise<number> {
  const options = {
    only: { type: "string" },
    json: { type: "boolean" },
    size: { type: "string", default: "full" },
    count: { type: "string" },
  } as const;
  const { only, json, size, count } = parseArgs({ options }).values;
  if (size !== "full" && size !== "tiny") return refuse(`--size is full or tiny, not ${size}`);
  if (only !== undefined && !(only in benchmarks))
    return refuse(`there is no benchmark ${only}, only ${Object.keys(benchmarks).join(", ")}`);
  if (count !== undefined && (only !== "switch" || !/^[1-9]\d*$/.test(count)))
    return refuse("--count is a number, and goes with --only switch");
  const say = (line: string) => console.error(line);
  await installMissing({ install: "allow", say });
  const figures: Record<string, Figure[]> = {};
  for (const [name, benchmark] of Object.entries(benchmarks)) {
    const run = () => benchmark.run(size, (line) => say(`  ${line}`), count === undefined ? undefined : Number(count));
    if (only === undefined || only === name) figures[name] = await timed(`${name}: ${benchmark.about}`, run, say);
  }
  console.log(json ? JSON.stringify(await report(size, figures), undefined, 2) : textOf(figures));
  return 0;
}

function refuse(why: string): number {
  console.error(`Unable to begin: ${why}.`);
  return 1;
}

async function timed(what: string, run: () => Promise<Figure[]>, say: (line: string) => void): Promise<Figure[]> {
  const began = performance.now();
  say(what);
  const figures = await run();
  say(`done in ${((performance.now() - began) / 1000).toFixed(0)} s`);
  return figures;
}

function textOf(figures: Readonly<Record<string, Figure[]>>): string {
  return Object.entries(figures)
    .map(([name, list]) => `${name}\n${table(list)}`)
    .join("\n\n");
}

/** Every figure with all that was measured, and the machine on which it was; what is wanted of them, and whether it was met, in short at the end. */
async function report(size: Size, figures: Readonly<Record<string, Figure[]>>) {
  const told = Object.entries(figures).map(([name, list]) => [
    name,
    list.map((figure) => ({ ...figure, median: median(figure.values), verdict: verdict(figure) })),
  ]);
  const verdicts = Object.values(figures).flat().flatMap(verdictIn);
  return { date: new Date().toISOString(), size, machine: await machine(), figures: Object.fromEntries(told), verdicts };
}

async function machine() {
  const [cpu] = os.cpus();
  return {
    cpu: cpu?.model,
    cores: os.cpus().length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    kernel: os.release(),
    load: readFileSync("/proc/loadavg", "utf8").split(" ").slice(0, 3).map(Number),
    node: process.version,
    qemu: (await run("qemu-system-x86_64", ["--version"])).split("\n")[0],
  };
}

if (require.main === module) {
  main().then(
    (status) => process.exit(status),
    (reason: unknown) => {
      console.error(reason instanceof Error ? reason.stack : messageOf(reason));
      process.exit(1);
    },
  );
}

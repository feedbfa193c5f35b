/**
 * `npm run bench -- [--only NAME] [--json] [--size full|tiny]`: figures of one run, with the sides interleaved. Never a test: whether a
 * figure is as wanted depends on the machine. `--size tiny` shows only that each benchmark works.
 */

import { readFileSync } from "node:fs";
import os from "node:os";
import { parseArgs } from "node:util";
import { messageOf } from "../provider/core/errors.js";
import { run } from "../test/sandbox/command.js";
import { installMissing } from "../test/sandbox/install.js";
import { drift } from "./drift.js";
import { type Figure, median, table, verdict } from "./figures.js";
import { footprint } from "./footprint.js";
import { guest } from "./guest.js";
import { many } from "./many.js";
import { move } from "./move.js";
import type { Benchmark, Size } from "./size.js";
import { switching } from "./switch.js";

export const benchmarks: Readonly<Record<string, Benchmark>> = { drift, move, guest, many, switch: switching, footprint };

async function main(): Promise<number> {
  const options = { only: { type: "string" }, json: { type: "boolean" }, size: { type: "string", default: "full" } } as const;
  const { only, json, size } = parseArgs({ options }).values;
  if (size !== "full" && size !== "tiny") return refuse(`--size is full or tiny, not ${size}`);
  if (only !== undefined && !(only in benchmarks))
    return refuse(`there is no benchmark ${only}, only ${Object.keys(benchmarks).join(", ")}`);
  const say = (line: string) => console.error(line);
  await installMissing({ install: "allow", say });
  const figures: Record<string, Figure[]> = {};
  for (const [name, benchmark] of Object.entries(benchmarks)) {
    if (only === undefined || only === name) figures[name] = await timed(name, benchmark, size, say);
  }
  console.log(json ? JSON.stringify(await report(size, figures), undefined, 2) : textOf(figures));
  return 0;
}

function refuse(why: string): number {
  console.error(`Unable to begin: ${why}.`);
  return 1;
}

async function timed(name: string, benchmark: Benchmark, size: Size, say: (line: string) => void): Promise<Figure[]> {
  const began = performance.now();
  say(`${name}: ${benchmark.about}`);
  const figures = await benchmark.run(size, (line) => say(`  ${line}`));
  say(`${name}: done in ${((performance.now() - began) / 1000).toFixed(0)} s`);
  return figures;
}

function textOf(figures: Readonly<Record<string, Figure[]>>): string {
  return Object.entries(figures)
    .map(([name, list]) => `${name}\n${table(list)}`)
    .join("\n\n");
}

/** Every figure with all that was measured, and the machine on which it was. */
async function report(size: Size, figures: Readonly<Record<string, Figure[]>>) {
  const told = Object.entries(figures).map(([name, list]) => [
    name,
    list.map((figure) => ({ ...figure, median: median(figure.values), verdict: verdict(figure) })),
  ]);
  return { date: new Date().toISOString(), size, machine: await machine(), figures: Object.fromEntries(told) };
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

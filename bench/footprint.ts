/** What it takes besides time: state, memory, the start, and what npm installs. */

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { run } from "../test/sandbox/command.js";
import { startHerd } from "../test/sandbox/herd.js";
import { createSandbox } from "../test/sandbox/sandbox.js";
import type { Figure } from "./figures.js";
import { disksOf } from "./reading.js";
import type { Benchmark } from "./size.js";
import { type Disks, hiddenOf, Provider, urnOf } from "./stack.js";

const sizes = {
  full: { guests: 20, disksEach: 50, rounds: 5 },
  tiny: { guests: 1, disksEach: 2, rounds: 1 },
} as const;

const repository = path.resolve(__dirname, "../..");

export const footprint: Benchmark = {
  about: "state a disk, memory of the provider process, time to the first answer, size and number of packages",
  async run(size, say) {
    const { guests, disksEach, rounds } = sizes[size];
    const sandbox = await createSandbox("footprint");
    try {
      say(`starting ${guests} QEMUs with ${disksEach} disks each`);
      const disks = disksOf(sandbox, await startHerd(sandbox, { guests, disksEach }));
      const seconds: number[] = [];
      const memory: number[] = [];
      const idle: number[] = [];
      let stateBytes: number[] = [];
      for (let round = 0; round < rounds; round++) {
        const one = await readAll(disks.slice(0, 1));
        seconds.push(one.seconds);
        idle.push(one.residentMiB);
        const all = await readAll(disks);
        memory.push(all.residentMiB);
        stateBytes = all.stateBytes;
      }
      return [
        { what: "state of a DomainDisk with one layer (inputs and outputs, JSON)", unit: "bytes", values: stateBytes },
        { what: "provider process, resident, after 1 disk", unit: "MiB", values: idle },
        { what: `provider process, resident, after ${disks.length} disks`, unit: "MiB", values: memory },
        { what: "start of the provider process to the first disk told", unit: "s", values: seconds },
        ...(await packages()),
      ];
    } finally {
      await sandbox.dispose();
    }
  },
};

/** In a provider process of its own. */
async function readAll(disks: Disks): Promise<{ residentMiB: number; stateBytes: number[]; seconds: number }> {
  const began = performance.now();
  await using provider = await Provider.start();
  const read = disks.map(async ([name, args]) => {
    const properties = { ...args, ...hiddenOf("DomainDisk", name), schemaVersion: 1 };
    const { outputs, inputs } = await provider.process.read(urnOf("DomainDisk", name), name, { properties, inputs: properties });
    return JSON.stringify({ inputs, outputs }).length;
  });
  const stateBytes = await Promise.all(read);
  const seconds = (performance.now() - began) / 1000;
  const status = await readFile(`/proc/${provider.process.pid}/status`, "utf8");
  return { residentMiB: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024, stateBytes, seconds };
}

async function packages(): Promise<Figure[]> {
  const [packed] = JSON.parse(await run("npm", ["pack", "--dry-run", "--ignore-scripts", "--json"], { folder: repository }));
  const { packages: all }: Lock = JSON.parse(await readFile(path.join(repository, "package-lock.json"), "utf8"));
  const folders = [...broughtBy("", all)].map((name) => path.join(repository, name)).filter((folder) => existsSync(folder));
  const sizesOf = await run("du", ["-sc", "--block-size=1", "--exclude=node_modules", ...folders]);
  const total = Number(sizesOf.trim().split("\n").at(-1)?.split("\t")[0]);
  const { dependencies } = JSON.parse(await readFile(path.join(repository, "package.json"), "utf8"));
  return [
    { what: "our package, unpacked", unit: "MiB", values: [packed.unpackedSize / 2 ** 20] },
    { what: "packages that it brings, installed", unit: "MiB", values: [total / 2 ** 20] },
    { what: "packages that it names", unit: "", values: [Object.keys(dependencies).length] },
    { what: "packages that it brings", unit: "", values: [folders.length], note: "without @pulumi/pulumi, which is the program's" },
  ];
}

interface Lock {
  packages: Record<string, { dependencies?: Record<string, string>; optionalDependencies?: Record<string, string> }>;
}

/** Places in the lock file of all that the one at `place` depends on; each is found as Node.js would, from the inside out. */
function broughtBy(place: string, packages: Lock["packages"], found = new Set<string>()): Set<string> {
  const { dependencies, optionalDependencies } = packages[place] ?? {};
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
    const parts = place === "" ? [] : place.split("/node_modules/");
    const homes = parts.map((_, index) => `${parts.slice(0, parts.length - index).join("/node_modules/")}/node_modules/${name}`);
    const there = [...homes, `node_modules/${name}`].find((one) => one in packages);
    if (there === undefined || found.has(there)) continue;
    found.add(there);
    broughtBy(there, packages, found);
  }
  return found;
}

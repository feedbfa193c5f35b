/** Fifty disks of ten guests moved in one `up`, with more and fewer moves side by side. */

import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import type { Properties } from "../provider/core/lifecycle.js";
import { closeAllHosts } from "../provider/host/connection.js";
import type { Guest } from "../test/sandbox/guest.js";
import { createSandbox, type Sandbox } from "../test/sandbox/sandbox.js";
import { fewAtATime } from "../test/sandbox/turns.js";
import { timed } from "./disk.js";
import { type Figure, percentile } from "./figures.js";
import type { Benchmark, Size } from "./size.js";
import { hiddenOf, Provider, urnOf } from "./stack.js";

const sizes = {
  full: { guests: 10, disksEach: 5, baseMiB: 512, ownMiB: 16, sideBySide: [1, 2, 4, 8] },
  tiny: { guests: 2, disksEach: 1, baseMiB: 8, ownMiB: 1, sideBySide: [2] },
} as const;

/** What an engine asks for at a time; more than any setting lets run. */
const callsAtATime = 16;

export const many: Benchmark = {
  about: "disks of many guests, all clones of one base, moved at once with livedisk:movesPerHost at 1, 2, 4, 8",
  async run(size, say) {
    const sandbox = await createSandbox("many");
    try {
      return await measure(size, sandbox, say);
    } finally {
      await closeAllHosts();
      await sandbox.dispose();
    }
  },
};

interface Moved {
  seconds: number;
  pausesMs: number[];
  writesMs: number[];
  copiedMiB: number;
}

interface Told {
  status?: string;
  pauseMs?: number;
  copiedBytes?: number;
}

async function measure(size: Size, sandbox: Sandbox, say: (line: string) => void): Promise<Figure[]> {
  const { guests, disksEach, sideBySide } = sizes[size];
  say(`starting ${guests} guests with ${disksEach} disks each`);
  const herd = await startGuests(size, sandbox);
  const figures: Figure[] = [{ what: "guests idle: p99 of a write", unit: "ms", values: await idle(herd) }];
  for (const [index, movesPerHost] of sideBySide.entries()) {
    say(`${movesPerHost} side by side`);
    const former = index === 0 ? "shared" : `to-${index - 1}`;
    const { seconds, pausesMs, writesMs, copiedMiB } = await moveAll(sandbox, herd, { movesPerHost, storage: `to-${index}` });
    await rm(path.join(sandbox.folder, former), { recursive: true });
    const what = `movesPerHost ${movesPerHost}`;
    figures.push(
      { what: `${what}: ${guests * disksEach} disks`, unit: "s", values: [seconds] },
      { what: `${what}: layers copied; the base that all share is ${sizes[size].baseMiB} MiB`, unit: "MiB", values: [copiedMiB] },
      { what: `${what}: p99 of a guest's write meanwhile`, unit: "ms", values: [percentile(writesMs, 0.99)] },
      { what: `${what}: pause of a disk's switch`, unit: "ms", values: pausesMs },
    );
  }
  return figures;
}

async function startGuests(size: Size, sandbox: Sandbox): Promise<Guest[]> {
  const { guests, disksEach, baseMiB, ownMiB } = sizes[size];
  const storage = await sandbox.storage("shared");
  const base = { file: "base.qcow2", fill: { byte: 0x11, fromMiB: 64, lengthMiB: baseMiB } };
  const started: Guest[] = [];
  for (let number = 0; number < guests; number++) {
    const disks = Array.from({ length: disksEach }, (_, disk) => ({
      storage,
      layers: [base, { file: `guest-${number}-${disk}.qcow2`, fill: { byte: 0x22, fromMiB: 640, lengthMiB: ownMiB } }],
    }));
    started.push(await sandbox.startGuest({ name: `guest-${number}`, disks, pauseMs: 100 }));
  }
  return started;
}

async function idle(herd: readonly Guest[]): Promise<number[]> {
  await Promise.all(herd.map((guest) => guest.waitForRecords(20, 300)));
  return herd.map((guest) =>
    percentile(
      guest.disks.flatMap(({ id }) => guest.writesMs(id)),
      0.99,
    ),
  );
}

async function moveAll(
  sandbox: Sandbox,
  herd: readonly Guest[],
  { movesPerHost, storage }: { movesPerHost: number; storage: string },
): Promise<Moved> {
  const folder = path.join(sandbox.folder, storage);
  await mkdir(folder);
  await using provider = await Provider.start({ "livedisk:movesPerHost": String(movesPerHost) });
  const marks = herd.flatMap((guest) => guest.disks.map(({ id }) => ({ guest, id, after: guest.acknowledged(id) })));
  const pausesMs: number[] = [];
  let copied = 0;
  const seconds = await timed(() =>
    fewAtATime(callsAtATime, marks, async ({ guest, id }) => {
      const name = `${path.basename(guest.qmpSocket)}-${guest.disk(id).chain[0]}`;
      const args: Properties = {
        host: { ...sandbox.host, privilege: "user" },
        domain: { qmp: guest.qmpSocket },
        disks: [id],
        destination: folder,
      };
      const urn = urnOf("StorageMigration", name);
      const { inputs } = await provider.process.check(urn, {}, { ...args, ...hiddenOf("StorageMigration", name) });
      const { outputs } = await provider.process.create(urn, inputs);
      const { status, pauseMs, copiedBytes } = (outputs.moves as Record<string, Told>)[id] ?? {};
      if (status !== "settled") throw new Error(`The disk ${name} is ${status}, not settled.`);
      pausesMs.push(pauseMs ?? Number.NaN);
      copied += copiedBytes ?? 0;
    }),
  );
  const writesMs = marks.flatMap(({ guest, id, after }) => guest.writesMs(id, after));
  return { seconds, pausesMs, writesMs, copiedMiB: copied / 2 ** 20 };
}

/** What the guest feels: how long each of its writes takes, by its own clock, with and without a move. */

import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import type { Properties } from "../provider/core/lifecycle.js";
import { closeAllHosts } from "../provider/host/connection.js";
import { storageMigration } from "../provider/resources/storage-migration/lifecycle.js";
import type { Guest } from "../test/sandbox/guest.js";
import { Operator } from "../test/sandbox/operator.js";
import { createSandbox, type Sandbox } from "../test/sandbox/sandbox.js";
import { created, Recorder } from "../test/storage-migration/stage.js";
import { copyByPanel, diskOf, filesOf, level, writePauseMs } from "./disk.js";
import { type Figure, percentile, ratios } from "./figures.js";
import { Managed } from "./managed.js";
import type { Benchmark, Size } from "./size.js";

const sizes = { full: { rounds: 5, idleRecords: 1000 }, tiny: { rounds: 1, idleRecords: 20 } } as const;

export const guest: Benchmark = {
  about: "write latency in the guest: idle, in a move at half and at full speed, and in a virsh blockcopy",
  async run(size, say) {
    const sandbox = await createSandbox("guest");
    try {
      return await measure(size, sandbox, say);
    } finally {
      await closeAllHosts();
      await sandbox.dispose();
    }
  },
};

/** Latencies in milliseconds, by what went on meanwhile; one list a round. */
class Latencies {
  readonly #lists = new Map<string, number[][]>();

  add(what: string, values: readonly number[]): void {
    this.#lists.set(what, [...(this.#lists.get(what) ?? []), [...values]]);
  }

  p(what: string, share: number): number[] {
    return (this.#lists.get(what) ?? []).map((values) => percentile(values, share));
  }

  figures(): Figure[] {
    return [...this.#lists].flatMap(([what, rounds]): Figure[] => {
      const known = rounds.filter((values) => values.length > 0);
      if (known.length === 0) return [];
      const count = known.reduce((sum, values) => sum + values.length, 0);
      return [0.5, 0.99, 1].map((share) => ({
        what: `${what}: ${share === 1 ? "longest write" : `p${100 * share}`}`,
        unit: "ms",
        values: known.map((values) => percentile(values, share)),
        ...(share === 0.5 && { note: `${count} writes` }),
      }));
    });
  }
}

async function measure(size: Size, sandbox: Sandbox, say: (line: string) => void): Promise<Figure[]> {
  const { rounds, idleRecords } = sizes[size];
  say("making the disks and starting the guests");
  const disk = diskOf(size, path.join(sandbox.folder, "web", "path1"));
  const web = await sandbox.startGuest({ name: "web", disks: [disk], pauseMs: writePauseMs });
  const bytesPerSecond = await panelSpeed(web, sandbox);
  const managed = await Managed.start(sandbox, size);
  await managed.suspend();
  const latencies = new Latencies();
  const pauses: number[] = [];
  const idle = () => during(web, () => web.waitForRecords(idleRecords, 300));
  for (let round = 1; round <= rounds; round++) {
    say(`round ${round} of ${rounds}`);
    const move = async (how: string, maxBytesPerSecond: number) => {
      pauses.push(await moved({ sandbox, web, latencies, how, folder: `to-${round}-${how.replace(" ", "-")}` }, maxBytesPerSecond));
    };
    // what is compared stands beside each other, and neither side is always the first
    const before = await idle();
    await move("half speed", Math.floor(bytesPerSecond / 2));
    latencies.add("idle", [...before, ...(await idle())]);
    const sides = [() => move("full speed", 0), async () => latencies.add("virsh blockcopy", await blockcopied(web, managed, round))];
    for (const side of round % 2 === 1 ? sides : sides.toReversed()) await side();
  }
  const p99 = (what: string) => latencies.p(what, 0.99);
  return [
    ...latencies.figures(),
    { what: "pauseMs", unit: "ms", values: pauses, wanted: { atMost: 20 } },
    {
      what: "p99 at half speed against idle",
      unit: "times",
      values: ratios(p99("move at half speed"), p99("idle")),
      wanted: { atMost: 1.5 },
    },
    {
      what: "p99 at full speed against virsh blockcopy's",
      unit: "times",
      values: ratios(p99("move at full speed"), p99("virsh blockcopy")),
      wanted: { atMost: 1 },
    },
  ];
}

/** What the guest's writes took while something went on. */
async function during(web: Pick<Guest, "acknowledged" | "writesMs">, work: () => Promise<unknown>): Promise<number[]> {
  const before = web.acknowledged();
  await work();
  return web.writesMs("vda", before);
}

async function panelSpeed(web: Guest, sandbox: Sandbox): Promise<number> {
  const files = await filesOf(await activeImage(web));
  const panel = await copyByPanel(files, path.join(sandbox.folder, "panel"));
  const bytes = web.disk().fills.reduce((sum, { lengthMiB }) => sum + lengthMiB * 2 ** 20, 0);
  return bytes / Math.min(...panel.values());
}

async function activeImage(web: Guest): Promise<string> {
  await using operator = await Operator.connect(web.operatorSocket);
  return await operator.activeImage("vda");
}

interface Moving {
  sandbox: Sandbox;
  web: Guest;
  latencies: Latencies;
  how: string;
  folder: string;
}

/** Tells the phases apart by the run's own lines of progress, and the switch by QEMU's events. */
async function moved({ sandbox, web, latencies, how, folder }: Moving, maxBytesPerSecond: number): Promise<number> {
  await using operator = await Operator.connect(web.operatorSocket);
  const before = await operator.activeImage("vda");
  await level(await filesOf(before));
  const destination = path.join(sandbox.folder, "web", folder);
  await mkdir(destination);
  const args: Properties = { host: sandbox.host, domain: { qmp: web.qmpSocket }, disks: ["vda"], destination, maxBytesPerSecond };
  const started = web.acknowledged();
  const marks: { phase: string; at: number }[] = [];
  const mark = (phase: string) => {
    if (marks.at(-1)?.phase !== phase) marks.push({ phase, at: web.acknowledged() });
  };
  const recorder = new Recorder();
  recorder.progress = (text) => {
    const phase = /^vda (copying|mirroring)/.exec(text)?.[1];
    if (phase !== undefined) mark(phase);
  };
  const stopListening = markSwitch(operator, mark);
  const { outputs } = await created(storageMigration, args, recorder).finally(stopListening);
  const ended = web.acknowledged();
  latencies.add(`move at ${how}`, within(web, started, ended));
  for (const [index, { phase, at }] of marks.entries()) {
    // the writes that waited for the switch are acknowledged right after it
    const until = (marks[index + 1]?.at ?? ended) + (phase === "switch" ? 2 : 0);
    if (phase !== "after") latencies.add(`${phase} at ${how}`, within(web, at, until));
  }
  await rm(path.dirname(before), { recursive: true });
  return (outputs.moves as Record<string, { pauseMs?: number }>).vda?.pauseMs ?? Number.NaN;
}

/** @returns how to stop it */
function markSwitch(operator: Operator, mark: (phase: "switch" | "after") => void): () => void {
  let heard = operator.events.length;
  const listen = () => {
    for (const { event, data } of operator.events.slice(heard)) {
      const status = event === "JOB_STATUS_CHANGE" ? (data as { status: string }).status : undefined;
      if (status === "pending") mark("switch");
      if (status === "concluded") mark("after");
    }
    heard = operator.events.length;
  };
  const timer = setInterval(listen, 5);
  return () => clearInterval(timer);
}

function within(web: Guest, from: number, to: number): number[] {
  return web.writesMs("vda", from).slice(0, to - from);
}

/** While one side is measured the other's guest stands still. */
async function blockcopied(web: Guest, managed: Managed, round: number): Promise<number[]> {
  await using operator = await Operator.connect(web.operatorSocket);
  await operator.execute("stop");
  await managed.resume();
  const { writesMs } = await managed.blockcopy(round);
  await managed.suspend();
  await operator.execute("cont");
  return writesMs;
}

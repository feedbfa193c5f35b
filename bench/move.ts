/** How long a move takes: each strategy, against the tools that a person would take. */

import { mkdir, readdir, rm } from "node:fs/promises";
import path from "node:path";
import { closeAllHosts } from "../provider/host/connection.js";
import type { Properties } from "../provider/lifecycle.js";
import { storageMigration } from "../provider/storage-migration/lifecycle.js";
import { run } from "../test/sandbox/command.js";
import { Operator } from "../test/sandbox/operator.js";
import { createSandbox, type Sandbox } from "../test/sandbox/sandbox.js";
import { created, Recorder } from "../test/storage-migration/stage.js";
import { fiveSteps } from "./by-hand.js";
import { copyByPanel, filesOf, forgetCached, threeLayersOf, timed, virtualMiB, writePauseMs } from "./disk.js";
import type { Figure } from "./figures.js";
import { Managed } from "./managed.js";
import { movedByReflink } from "./reflink.js";
import type { Benchmark, Size } from "./size.js";

const rounds = { full: 2, tiny: 2 } as const;

const strategies: Readonly<Record<string, Properties>> = {
  mirror: {},
  "snapshot, commit": { strategy: "snapshot", restartDuringMove: "from-manifest" },
  "snapshot, pull": { strategy: "snapshot", collapse: "pull", restartDuringMove: "from-manifest" },
  "snapshot, none": { strategy: "snapshot", collapse: "none", restartDuringMove: "from-manifest" },
};

function strategiesOf(size: Size): [string, Properties][] {
  return Object.entries(strategies).slice(0, size === "full" ? undefined : 1);
}

export const move: Benchmark = {
  about:
    "one disk of three layers: each strategy, against copying its files, virsh blockcopy, the five steps by hand, and an offline convert",
  async run(size, say) {
    const sandbox = await createSandbox("move");
    try {
      return [...(await sideBySide(size, sandbox, say)), ...(await movedByReflink(size, say))];
    } finally {
      await closeAllHosts();
      await sandbox.dispose();
    }
  },
};

async function sideBySide(size: Size, sandbox: Sandbox, say: (line: string) => void): Promise<Figure[]> {
  const seconds = new Map<string, number[]>();
  const note = (what: string, value: number) => {
    say(`  ${what}: ${value.toFixed(2)} s`);
    seconds.set(what, [...(seconds.get(what) ?? []), value]);
  };
  const limits: number[] = [];
  say("making the disks and starting the guests");
  const guest = await Movable.start(sandbox, "web", size);
  const hand = await Movable.start(sandbox, "hand", size);
  const managed = await Managed.start(sandbox, size);
  for (let round = 1; round <= rounds[size]; round++) {
    say(`round ${round} of ${rounds[size]}: the panel, convert`);
    const files = await filesOf(await guest.active());
    const panel = await copyByPanel(files, path.join(sandbox.folder, "panel"));
    for (const [name, value] of panel) note(name, value);
    limits.push(Math.min(...panel.values()));
    note("qemu-img convert, offline", await convert(files, path.join(sandbox.folder, "converted.qcow2")));
    for (const [name, options] of strategiesOf(size)) {
      say(`round ${round}: ${name}`);
      note(name, await guest.moved(options));
    }
    say(`round ${round}: by hand, virsh blockcopy`);
    note("five steps by hand", await hand.byHand(round));
    await forgetCached(await managed.files());
    note("virsh blockcopy --wait --pivot", (await managed.blockcopy(round)).seconds);
  }
  return figuresOf(size, seconds, limits);
}

function figuresOf(size: Size, seconds: ReadonlyMap<string, readonly number[]>, limits: readonly number[]): Figure[] {
  const of = (what: string) => seconds.get(what) ?? [];
  const times = [...seconds].map(([what, values]): Figure => ({ what, unit: "s", values }));
  const over = strategiesOf(size).map(
    ([name]): Figure => ({
      what: `${name}: beyond 1.15 times the fastest of the panel`,
      unit: "s",
      values: of(name).map((value, round) => value - 1.15 * (limits[round] ?? Number.NaN)),
      wanted: { atMost: 2 },
    }),
  );
  const against = ["five steps by hand", "virsh blockcopy --wait --pivot"].map(
    (other): Figure => ({
      what: `mirror against ${other}`,
      unit: "times",
      values: of("mirror").map((value, round) => value / (of(other)[round] ?? Number.NaN)),
      wanted: { atMost: 1 },
    }),
  );
  return [...times, { what: "fastest of the panel", unit: "s", values: limits }, ...over, ...against];
}

/** A plain guest whose disk goes from one folder to the next; what is left behind is removed in between. */
class Movable {
  private number = 0;

  private constructor(
    private readonly sandbox: Sandbox,
    private readonly name: string,
    private readonly operator: Operator,
    private readonly monitor: string,
    private readonly virtualBytes: number,
  ) {}

  static async start(sandbox: Sandbox, name: string, size: Size): Promise<Movable> {
    const disk = { storage: path.join(sandbox.folder, name, "path1"), layers: threeLayersOf(size), virtualMiB: virtualMiB[size] };
    const guest = await sandbox.startGuest({ name, disks: [disk], pauseMs: writePauseMs });
    const operator = await Operator.connect(guest.operatorSocket);
    sandbox.defer(() => operator.close());
    return new Movable(sandbox, name, operator, guest.qmpSocket, virtualMiB[size] * 2 ** 20);
  }

  active(): Promise<string> {
    return this.operator.activeImage("vda");
  }

  /** @returns `seconds` of the move, by its own clock */
  async moved(options: Properties): Promise<number> {
    const before = await this.active();
    await forgetCached(await filesOf(before));
    const destination = await this.nextFolder();
    const args = { host: this.sandbox.host, domain: { qmp: this.monitor }, disks: ["vda"], destination, ...options };
    const { outputs } = await created(storageMigration, args, new Recorder());
    await rm(path.dirname(before), { recursive: true });
    return (outputs.moves as Record<string, { seconds: number }>).vda?.seconds ?? Number.NaN;
  }

  async byHand(number: number): Promise<number> {
    const before = await this.active();
    const chain = await filesOf(before);
    await forgetCached(chain);
    const destination = await this.nextFolder();
    const drives = (await this.operator.execute("query-block")) as { qdev?: string; inserted: { "node-name": string } }[];
    const active = drives.find(({ qdev }) => qdev?.includes("/vda/"))?.inserted["node-name"] ?? "";
    const { operator, virtualBytes } = this;
    const seconds = await timed(() => fiveSteps({ operator, chain, destination, virtualBytes, active, number }));
    for (const file of await readdir(path.dirname(before))) await rm(path.join(path.dirname(before), file));
    return seconds;
  }

  private async nextFolder(): Promise<string> {
    const folder = path.join(this.sandbox.folder, this.name, `to-${++this.number}`);
    await mkdir(folder);
    return folder;
  }
}

/** As if the guest could be stopped. */
async function convert(files: readonly string[], to: string): Promise<number> {
  const [active = ""] = files;
  await forgetCached(files);
  const seconds = await timed(async () => {
    await run("qemu-img", ["convert", "-U", "-m", "16", "-W", "-O", "qcow2", active, to], { timeoutSeconds: 600 });
    await run("sync", [to]);
  });
  await rm(to);
  return seconds;
}

/** How long a move takes: each strategy, against the tools that a person would take. */

import { rm } from "node:fs/promises";
import path from "node:path";
import type { Properties } from "../provider/core/lifecycle.js";
import { closeAllHosts } from "../provider/host/connection.js";
import { run } from "../test/sandbox/command.js";
import { createSandbox, type Sandbox } from "../test/sandbox/sandbox.js";
import { copyByPanel, level, timed } from "./disk.js";
import { type Figure, ratios } from "./figures.js";
import { Managed } from "./managed.js";
import { Movable } from "./movable.js";
import { movedByReflink } from "./reflink.js";
import type { Benchmark, Size } from "./size.js";

const rounds = { full: 3, tiny: 2 } as const;

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
  say("making the disks and starting the guests");
  const guest = await Movable.start(sandbox, "web", size);
  const hand = await Movable.start(sandbox, "hand", size);
  const managed = await Managed.start(sandbox, size);
  for (const other of [hand, managed]) await other.suspend();
  const copied = path.join(sandbox.folder, "panel");
  say("one move of each strategy that is not counted: the storage is slower where it is written to for the first time");
  for (const [, options] of strategiesOf(size)) await guest.moved(options);
  for (let round = 1; round <= rounds[size]; round++) {
    say(`round ${round} of ${rounds[size]}`);
    const panel = await copyByPanel(await guest.files(), copied);
    for (const [name, value] of panel) note(name, value);
    note("qemu-img convert, offline", await convert(await guest.files(), path.join(sandbox.folder, "converted.qcow2")));
    const [fastest = ""] = [...panel.keys()].toSorted((a, b) => (panel.get(a) ?? 0) - (panel.get(b) ?? 0));
    const limit = async () => (await copyByPanel(await guest.files(), copied, [fastest])).get(fastest) ?? Number.NaN;
    let before = await limit();
    for (const [name, options] of strategiesOf(size)) {
      const moved = await guest.moved(options);
      const after = await limit();
      note(limitOf(name), (before + after) / 2);
      note(name, moved);
      before = after;
    }
    await guest.suspend();
    await awake(hand, async () => note("five steps by hand", await hand.byHand(round)));
    await awake(managed, async () => note("virsh blockcopy --wait --pivot", (await managed.blockcopy(round)).seconds));
    await guest.resume();
  }
  return figuresOf(size, seconds);
}

/** What a strategy is measured against is measured right before and right after it: a storage's speed changes from minute to minute. */
function limitOf(strategy: string): string {
  return `fastest of the panel, around ${strategy}`;
}

/** While one side is measured the others' guests stand still. */
async function awake(side: Movable | Managed, work: () => Promise<void>): Promise<void> {
  await side.resume();
  await work();
  await side.suspend();
}

function figuresOf(size: Size, seconds: ReadonlyMap<string, readonly number[]>): Figure[] {
  const of = (what: string) => seconds.get(what) ?? [];
  const times = [...seconds].map(([what, values]): Figure => ({ what, unit: "s", values }));
  const over = strategiesOf(size).map(
    ([name]): Figure => ({
      what: `${name}: beyond 1.15 times the fastest of the panel`,
      unit: "s",
      values: of(name).map((value, round) => value - 1.15 * (of(limitOf(name))[round] ?? Number.NaN)),
      wanted: { atMost: 2 },
    }),
  );
  const against = ["five steps by hand", "virsh blockcopy --wait --pivot"].map(
    (other): Figure => ({ what: `mirror against ${other}`, unit: "times", values: ratios(of("mirror"), of(other)), wanted: { atMost: 1 } }),
  );
  return [...times, ...over, ...against];
}

/** As if the guest could be stopped. */
async function convert(files: readonly string[], to: string): Promise<number> {
  const [active = ""] = files;
  await level(files);
  const seconds = await timed(async () => {
    await run("qemu-img", ["convert", "-U", "-m", "16", "-W", "-O", "qcow2", active, to], { timeoutSeconds: 600 });
    await run("sync", [to]);
  });
  await rm(to);
  return seconds;
}

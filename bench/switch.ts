/** How long guest I/O waits in a switch: from near, from far away, and through libvirt, beside what the switch's own fsyncs cost there. */

import { open, rename, rm } from "node:fs/promises";
import path from "node:path";
import type { Properties, Run } from "../provider/core/lifecycle.js";
import { closeAllHosts } from "../provider/host/connection.js";
import { storageMigration } from "../provider/resources/storage-migration/lifecycle.js";
import type { LayerOptions } from "../test/sandbox/disks.js";
import { Libvirtd } from "../test/sandbox/libvirtd.js";
import { ManagedGuest } from "../test/sandbox/managed-guest.js";
import { createSandbox, type Sandbox } from "../test/sandbox/sandbox.js";
import { created, type Move, Recorder } from "../test/storage-migration/stage.js";
import { timed } from "./disk.js";
import { FarHost } from "./far.js";
import type { Figure } from "./figures.js";
import type { Benchmark } from "./size.js";

const sizes = { full: { count: 30, delayMs: 150 }, tiny: { count: 1, delayMs: 20 } } as const;

/** The pause does not hang on what was copied before it. */
const smallLayer = (file: string): LayerOptions[] => [{ file, fill: { byte: 0x11, fromMiB: 8, lengthMiB: 4 } }];

/** A guest whose disks go back and forth between two directories. */
interface Mover {
  domain: Properties;
  names: readonly string[];
  folder: string;
  at: "path1" | "path2";
}

export const switching: Benchmark = {
  about: "the pause of a switch, of one disk and of three: near and 150 ms away in turn, and through libvirt",
  async run(size, say, count = sizes[size].count) {
    const sandbox = await createSandbox("switch");
    const scale = { count, delayMs: sizes[size].delayMs };
    try {
      return [...(await bothDistances(scale, sandbox, say)), ...(await throughLibvirt(scale, sandbox, say))];
    } finally {
      await closeAllHosts();
      await sandbox.dispose();
    }
  },
};

/** How many pairs of switches, and how far away the far side is, one way. */
interface Scale {
  count: number;
  delayMs: number;
}

async function bothDistances({ count: pairs, delayMs }: Scale, sandbox: Sandbox, say: (line: string) => void): Promise<Figure[]> {
  await using way = await FarHost.listen(Number(sandbox.host.port), delayMs);
  const far = { ...sandbox.host, port: way.far };
  const figures: Figure[] = [];
  for (const count of [1, 3]) {
    say(`${pairs} pairs of switches of ${count} ${count === 1 ? "disk" : "disks"}`);
    const mover = await plainMover(sandbox, count);
    const found = { near: [] as number[], far: [] as number[], fsync: [] as number[] };
    for (let pair = 0; pair < pairs; pair++) {
      if (pair % 10 === 0) say(`pair ${pair + 1}`);
      // neither always first
      for (const side of pair % 2 === 0 ? (["near", "far"] as const) : (["far", "near"] as const))
        found[side].push(await (side === "near" ? pauseOf(mover, sandbox.host) : farPauseOf(mover, far, way)));
      found.fsync.push(await fsyncsOf(mover));
    }
    figures.push(...told(count, delayMs, found));
  }
  return figures;
}

function told(count: number, delayMs: number, found: { near: number[]; far: number[]; fsync: number[] }): Figure[] {
  const what = count === 1 ? "one disk" : `${count} disks`;
  const beyond = (list: readonly number[], others: readonly number[]) => list.map((value, pair) => value - (others[pair] ?? Number.NaN));
  return [
    { what: `${what}, near: pause`, unit: "ms", values: found.near },
    { what: `${what}, ${delayMs} ms away: pause`, unit: "ms", values: found.far },
    { what: `${what}: far beyond near`, unit: "ms", values: beyond(found.far, found.near), wanted: { atMost: 10 } },
    { what: `${what}: as many fsyncs on the same storage`, unit: "ms", values: found.fsync },
    { what: `${what}: near beyond its fsyncs`, unit: "ms", values: beyond(found.near, found.fsync), wanted: { atMost: 12 } },
  ];
}

async function plainMover(sandbox: Sandbox, count: number): Promise<Mover> {
  const name = `plain-${count}`;
  const folder = path.join(sandbox.folder, name);
  const disks = Array.from({ length: count }, (_, index) => ({
    storage: path.join(folder, "path1"),
    layers: smallLayer(`disk-${index}.qcow2`),
  }));
  const guest = await sandbox.startGuest({ name, disks });
  return { domain: { qmp: guest.qmpSocket }, names: guest.disks.map(({ id }) => id), folder, at: "path1" };
}

/** Far away from when the switch is planned to the end of the move: what comes before does not bear on the pause. */
async function farPauseOf(mover: Mover, host: Properties, way: FarHost): Promise<number> {
  const run = new (class extends Recorder {
    override say(...[severity]: Parameters<Run["say"]>): void {
      if (severity === "debug") way.away = true;
    }
  })();
  const pause = await pauseOf(mover, host, run);
  if (!way.away) throw new Error("No switch was planned.");
  way.away = false;
  return pause;
}

/** One move of all its disks to the other directory. */
async function pauseOf(mover: Mover, host: Properties, run: Run = new Recorder()): Promise<number> {
  mover.at = mover.at === "path1" ? "path2" : "path1";
  const args = {
    host,
    domain: mover.domain,
    disks: [...mover.names],
    destination: path.join(mover.folder, mover.at),
    afterwards: "delete",
  };
  const { outputs } = await created(storageMigration, args, run);
  const pauses = Object.values(outputs.moves as Record<string, Move>).map(({ pauseMs = Number.NaN }) => pauseMs);
  return Math.max(...pauses);
}

/**
 * What a switch without a link makes durable (decisions/0010): for each manifest of a disk the new image, which QEMU has flushed, and the
 * manifest with size and time; the two directories after the manifests' renames; and the source's after the images', and after the record's.
 */
async function fsyncsOf({ names, folder, at }: Mover): Promise<number> {
  const [source, target] = ["path1", "path2"].map((name) => path.join(folder, name)) as [string, string];
  const image = path.join(folder, at, "bench-image");
  await write(image, 65536);
  const files = names.flatMap((name) => [source, target].map((place) => path.join(place, `bench-${name}`)));
  for (const file of files) await write(`${file}.next`, 4096);
  const seconds = await timed(async () => {
    const opened = await Promise.all(files.map((file) => open(`${file}.next`, "a")));
    for (const each of opened) {
      await sync(image);
      await each.write(Buffer.alloc(64, "x"));
    }
    for (const each of opened) await each.sync();
    for (const each of opened) await each.close();
    for (const file of files) await rename(`${file}.next`, file);
    for (const place of [target, source, source, source]) await sync(place);
  });
  for (const file of [image, ...files]) await rm(file);
  return seconds * 1000;
}

async function write(file: string, bytes: number): Promise<void> {
  await using opened = await open(file, "a");
  await opened.write(Buffer.alloc(bytes, "x"));
  await opened.sync();
}

async function sync(place: string): Promise<void> {
  await using opened = await open(place, "r");
  await opened.sync();
}

async function throughLibvirt({ count: pairs }: Scale, sandbox: Sandbox, say: (line: string) => void): Promise<Figure[]> {
  say(`${pairs} switches through libvirt`);
  const libvirtd = await Libvirtd.start(sandbox);
  const disks = (at: (...names: string[]) => string) => [{ storage: at("path1"), layers: smallLayer("disk.qcow2") }];
  const guest = await ManagedGuest.start(libvirtd, sandbox.folder, { name: "managed", disks });
  const mover: Mover = { domain: { libvirt: guest.name, uri: libvirtd.uri }, names: ["vda"], folder: guest.at(), at: "path1" };
  const values: number[] = [];
  for (let round = 0; round < pairs; round++) values.push(await pauseOf(mover, sandbox.host));
  return [{ what: "one disk, through libvirt: pause", unit: "ms", values, wanted: { atMost: 100 } }];
}

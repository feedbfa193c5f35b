/** What it costs to see where a thousand disks are: one SSH connection and a few questions a guest, against an exec for each disk. */

import { writeFile } from "node:fs/promises";
import path from "node:path";
import { run } from "../test/sandbox/command.js";
import { makeFolder } from "../test/sandbox/folders.js";
import { startHerd } from "../test/sandbox/herd.js";
import { Libvirtd } from "../test/sandbox/libvirtd.js";
import { createSandbox, type Sandbox } from "../test/sandbox/sandbox.js";
import { ShellLog } from "../test/sandbox/shell-log.js";
import { type Sshd, startSshd } from "../test/sandbox/sshd.js";
import { timed } from "./disk.js";
import { type Figure, median, ratios } from "./figures.js";
import { type Counts, disksOf, readAll, readOnly } from "./reading.js";
import type { Benchmark, Size } from "./size.js";
import { openStack } from "./stack.js";

const sizes = {
  full: { guests: 20, disksEach: 50, rounds: 3, execs: 50, layers: [1, 10, 50, 200], deepDisks: 2 },
  tiny: { guests: 2, disksEach: 3, rounds: 1, execs: 1, layers: [1, 3], deepDisks: 1 },
} as const;

/** As a real engine does it on two processors. */
const fewReads = 8;

export const drift: Benchmark = {
  about: "a preview with refresh of many disks, against one exec a disk and against a program that does nothing",
  async run(size, say) {
    const log = await ShellLog.open();
    const sandbox = await createSandbox("drift", { sshd: { settings: { ...log.settings, MaxStartups: "100" } } });
    try {
      return [...(await many(size, { sandbox, log, say })), ...(await deep(size, say))];
    } finally {
      await sandbox.dispose();
      await log.remove();
    }
  },
};

interface Place {
  sandbox: Sandbox;
  say(line: string): void;
}

async function many(size: Size, { sandbox, log, say }: Place & { log: ShellLog }): Promise<Figure[]> {
  const { guests, disksEach, rounds, execs } = sizes[size];
  say(`starting ${guests} QEMUs with ${disksEach} disks each`);
  const herd = await startHerd(sandbox, { guests, disksEach });
  const disks = disksOf(sandbox, herd);
  const virsh = await oneDomain(sandbox, disksEach);
  // an sshd that writes nothing down: only ours pays for being counted
  const folder = await makeFolder("livedisk-plain-");
  sandbox.defer(folder.remove);
  const plain = await startSshd({ folder: folder.path });
  sandbox.defer(() => plain.stop());
  const stacks = {
    ours: await openStack(path.join(sandbox.folder, "ours"), "DomainDisk", disks),
    alike: await openStack(path.join(sandbox.folder, "alike"), "NothingAlike", disks),
    nothing: await openStack(path.join(sandbox.folder, "nothing"), "Nothing", disks),
  };
  const seconds = {
    read: [] as number[],
    few: [] as number[],
    execs: [] as number[],
    ours: [] as number[],
    alike: [] as number[],
    nothing: [] as number[],
  };
  const growth = new Map([10, 100].filter((count) => count < disks.length).map((count) => [count, [] as number[]]));
  const counts: Counts[] = [];
  for (let round = 1; round <= rounds; round++) {
    say(`round ${round} of ${rounds}`);
    seconds.execs.push(((await execEach(plain, virsh, execs)) * disks.length) / execs);
    const all = await readAll(disks, disks.length, { herd, log, sandbox });
    seconds.read.push(all.seconds);
    counts.push(all.counts);
    const few = await readAll(disks, fewReads, { herd, log, sandbox });
    seconds.few.push(few.seconds);
    counts.push(few.counts);
    for (const [count, values] of growth) values.push((await readAll(disks.slice(0, count), count, { herd, log, sandbox })).seconds);
    for (const side of ["nothing", "ours", "alike"] as const) seconds[side].push(await timed(() => previewUnchanged(stacks[side])));
  }
  const of = `${disks.length} disks of ${guests} guests`;
  const extrapolated = `${execs} measured, times ${disks.length / execs}`;
  return [
    { what: `${of}: provider, first read asked to last answered`, unit: "s", values: seconds.read },
    { what: `${of}: the same, ${fewReads} reads at a time`, unit: "s", values: seconds.few },
    { what: `one exec a disk (ssh host virsh domblklist)`, unit: "s", values: seconds.execs, note: extrapolated },
    {
      what: "execs against provider",
      unit: "times",
      values: ratios(seconds.execs, seconds.read),
      wanted: { atLeast: 50 },
      note: extrapolated,
    },
    { what: `preview with refresh of ${disks.length} disks`, unit: "s", values: seconds.ours },
    { what: "the same with resources that do nothing and have the same inputs and outputs", unit: "s", values: seconds.alike },
    { what: "the same with resources that do nothing and have the same inputs alone", unit: "s", values: seconds.nothing },
    {
      what: "preview against the floor, same inputs and outputs",
      unit: "times",
      values: ratios(seconds.ours, seconds.alike),
      wanted: { atMost: 1.3 },
    },
    {
      what: "preview against the floor, same inputs alone",
      unit: "times",
      values: ratios(seconds.ours, seconds.nothing),
      wanted: { atMost: 1.3 },
    },
    { what: "SSH connections", unit: "", values: counts.map(({ connections }) => connections), wanted: { atMost: 1 } },
    {
      what: "QMP commands a guest after the connect",
      unit: "",
      values: counts.map(({ commands }) => commands / guests),
      wanted: { atMost: 4 },
    },
    { what: "execs (SSH sessions)", unit: "", values: counts.map(({ sessions }) => sessions) },
    { what: "round trips to the shell", unit: "", values: counts.map(({ runs }) => runs) },
    ...[...growth].map(([count, values]) => growthFigure(disks.length, seconds.read, count, values)),
  ];
}

function growthFigure(whole: number, all: readonly number[], count: number, few: readonly number[]): Figure {
  const what = `time for ${whole} disks against ${whole / count} times that for ${count} (${median(few).toFixed(2)} s)`;
  return { what, unit: "times", values: ratios(all, few).map((ratio) => ratio / (whole / count)), wanted: { atMost: 1 } };
}

/** Chains of many layers, few disks each: every layer is a file that QEMU holds open. */
async function deep(size: Size, say: Place["say"]): Promise<Figure[]> {
  const { layers, deepDisks, rounds } = sizes[size];
  const figures: Figure[] = [];
  for (const count of layers) {
    say(`chains of ${count} layers`);
    const nested = await createSandbox("drift-deep");
    try {
      const herd = await startHerd(nested, { guests: 2, disksEach: deepDisks, layers: count });
      const disks = disksOf(nested, herd);
      const values: number[] = [];
      for (let round = 0; round < rounds; round++) values.push(await readOnly(disks, disks.length));
      figures.push({
        what: `a disk with a chain of ${count} layers`,
        unit: "ms",
        values: values.map((seconds) => (seconds * 1000) / disks.length),
      });
    } finally {
      await nested.dispose();
    }
  }
  return figures;
}

async function previewUnchanged(engine: Awaited<ReturnType<typeof openStack>>): Promise<void> {
  const result = await engine.preview({ expectNoChanges: true });
  if (!result.ok) throw new Error(`The preview failed: ${result.output.slice(-2000)}`);
}

/** A libvirtd with one domain of as many disks. @returns the command that lists them */
async function oneDomain(sandbox: Sandbox, disks: number): Promise<string[]> {
  const libvirtd = await Libvirtd.start(sandbox);
  const sources = Array.from({ length: disks }, (_, index) => {
    const target = `sd${String.fromCharCode(97 + Math.floor(index / 26))}${String.fromCharCode(97 + (index % 26))}`;
    return `<disk type='file' device='disk'><source file='/nowhere/${index}'/><target dev='${target}' bus='scsi'/></disk>`;
  });
  const boot = "<os><type arch='x86_64' machine='pc'>hvm</type></os>";
  const xml = `<domain type='qemu'><name>web</name><memory unit='MiB'>8</memory>${boot}<devices>${sources.join("")}</devices></domain>`;
  await writeFile(path.join(sandbox.folder, "web.xml"), xml);
  await libvirtd.virsh("define", path.join(sandbox.folder, "web.xml"));
  return ["virsh", "-q", "-c", libvirtd.uri, "domblklist", "web"];
}

/** As a script does it: a connection and an exec for each disk. @returns seconds for all */
async function execEach(sshd: Sshd, command: readonly string[], count: number): Promise<number> {
  const known = ["-o", `UserKnownHostsFile=${sshd.knownHostsFile}`, "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"];
  const args = ["-n", "-F", "none", ...known, "-i", sshd.identityFile, "-p", String(sshd.port), `${sshd.user}@127.0.0.1`];
  return timed(async () => {
    for (let each = 0; each < count; each++) await run("ssh", [...args, command.map((word) => `'${word}'`).join(" ")]);
  });
}

/** Two disks in the middle of a move, without a guest: files, a link, manifests, and a monitor whose jobs are ready. */

import assert from "node:assert/strict";
import { mkdir, readdir, readFile, readlink, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileStatus } from "../../../provider/host/worker/files.js";
import type { SwitchMeasure, SwitchMove, SwitchPlan } from "../../../provider/host/worker/switching.js";
import type { Worker } from "../../../provider/host/worker/worker.js";
import { filters } from "../../../provider/hypervisor/qemu/active-node.js";
import { type Command, type FakeMonitor, fakeMonitor } from "./fake-monitor.js";
import { scratch } from "./harness.js";

type Say = (message: object) => void;

/** What QEMU knows of one disk. */
interface Job {
  status: string;
  active: "source" | "target";
}

/** Jobs as QEMU 7.2 has them: ready, by job-complete pending, by job-finalize or job-cancel concluded. */
export class FakeJobs {
  readonly jobs = new Map<string, Job>([0, 1].map((number) => [`job${number}`, { status: "ready", active: "source" }]));
  /** Drivers of nodes of the guest's own, between each device and what the job changes. */
  above: string[] = [];
  /** Called before each command; answers itself where it returns "answered". */
  before: (command: Command, say: Say) => "answered" | "go on" = () => "go on";

  answer(command: Command, say: Say): void {
    if (this.before(command, say) === "answered") return;
    const { id, execute } = command;
    const job = this.jobs.get(String(command.arguments.id));
    if (execute === "query-jobs") say({ return: [...this.jobs].map(([name, { status }]) => ({ id: name, status })), id });
    else if (execute === "query-block") say({ return: this.blocks(), id });
    else if (execute === "query-named-block-nodes") say({ return: this.chains().flat(), id });
    else if (execute === "x-debug-query-block-graph") say({ return: this.graph(), id });
    else if (job === undefined || !this.change(job, execute))
      say({ error: { class: "GenericError", desc: `${execute} in ${job?.status}` }, id });
    else say({ return: {}, id });
  }

  /** The disks' images, each once. */
  get active(): string[] {
    return [...new Set([...this.jobs.values()].map(({ active }) => active))];
  }

  private change(job: Job, execute: string): boolean {
    if (execute === "job-complete" && job.status === "ready") job.status = "pending";
    else if (execute === "job-finalize" && job.status === "pending") Object.assign(job, { status: "concluded", active: "target" });
    else if (execute === "job-cancel" && ["ready", "pending"].includes(job.status)) job.status = "concluded";
    else return false;
    return true;
  }

  private blocks(): object[] {
    return this.chains().map((chain, number) => {
      const [active] = chain.slice(-1);
      return { qdev: `/disk${number}`, inserted: { ...chain[0], image: { filename: active?.file, format: active?.drv } } };
    });
  }

  /** Of each disk: the guest's own nodes, the job's until it is concluded, the active image. */
  private chains(): { "node-name": string; drv: string; file: string }[][] {
    return [...this.jobs.values()].map(({ active, status }, number) => [
      ...this.above.map((drv) => ({ "node-name": `${drv}${number}`, drv, file: `/${active}${number}` })),
      ...(status === "concluded" ? [] : [{ "node-name": `job-node${number}`, drv: "mirror_top", file: `/${active}${number}` }]),
      { "node-name": `${active}${number}`, drv: "qcow2", file: `/${active}${number}` },
    ]);
  }

  private graph(): object {
    const nodes = this.chains().flat();
    const idOf = (name: string | undefined) => nodes.findIndex((node) => node["node-name"] === name);
    const edges = this.chains().flatMap((chain) =>
      chain.slice(1).map((node, index) => ({ parent: idOf(chain[index]?.["node-name"]), child: idOf(node["node-name"]), name: "file" })),
    );
    return { nodes: nodes.map((node, id) => ({ id, name: node["node-name"], type: "block-driver" })), edges };
  }
}

export interface SwitchBench {
  folder: string;
  jobs: FakeJobs;
  fake: FakeMonitor;
}

/** The names that a boot finds: by the link, by the manifests, by the images' own names. */
export interface Names {
  link: string;
  manifests: string[];
  bootable: string[];
}

/** What decides a switch: the link's rename; that of the images' names, the last stage; or that of a record, when these names are gone. */
export type Decides = "link" | "names" | "record";

export interface Shape {
  disks: number;
  decides: Decides;
}

const twoDisks: Shape = { disks: 2, decides: "link" };

const numbersOf = ({ disks }: Shape) => Array.from({ length: disks }, (_, number) => number);

export async function switchBench(): Promise<SwitchBench> {
  const folder = await scratch();
  await layOut(folder, twoDisks);
  const jobs = new FakeJobs();
  const fake = await fakeMonitor((command, say) => jobs.answer(command, say), folder);
  return { folder, jobs, fake };
}

/** The files before a switch. */
export async function layOut(folder: string, shape: Shape): Promise<void> {
  const texts = async (name: string) => {
    for (const [end, current] of Object.entries({ "": "source", ".next": "target", ".back": "source" }))
      await writeFile(path.join(folder, `${name}${end}`), current);
  };
  for (const side of ["src", "dst"]) {
    await mkdir(path.join(folder, side));
    for (const number of numbersOf(shape)) {
      await writeFile(path.join(folder, side, `disk${number}`), side);
      await texts(`${side}/manifest${number}`);
    }
  }
  if (shape.decides === "record") await texts("record");
  if (shape.decides === "link")
    for (const [name, side] of Object.entries({ vm: "src", "vm.next": "dst", "vm.back": "src" }))
      await symlink(side, path.join(folder, name));
}

export async function planOf(
  worker: Worker,
  { folder, fake }: { folder: string; fake: { path: string } },
  shape = twoDisks,
): Promise<SwitchPlan> {
  const at = (name: string) => ({ path: path.join(folder, name) });
  const fileOf = async (name: string) => (await fileStatus(worker, at(name))).identity;
  const replacing = async (name: string): Promise<SwitchMove> => ({
    from: at(`${name}.next`),
    to: at(name),
    file: await fileOf(`${name}.next`),
    back: { place: at(`${name}.back`), file: await fileOf(`${name}.back`) },
  });
  const retiring = async (name: string): Promise<SwitchMove> => ({
    from: at(name),
    to: at(`${name}.former`),
    file: await fileOf(name),
    back: null,
  });
  const numbers = numbersOf(shape);
  const manifests = ["src", "dst"].flatMap((side) => numbers.map((number) => `${side}/manifest${number}`));
  const retired = await Promise.all(numbers.map((number) => retiring(`src/disk${number}`)));
  const stages = {
    link: async () => [[await replacing("vm")], retired],
    names: async () => [retired],
    record: async () => [retired, [await replacing("record")]],
  };
  const measured = async (side: "src" | "dst", number: string): Promise<SwitchMeasure> => ({
    places: [at(`${side}/disk${number}`), at(`${side}/disk${number}.former`)],
    file: await fileOf(`${side}/disk${number}`),
    ...(side === "src" ? { textBehind: ", ", synced: false } : { textBehind: "}\n", synced: true }),
  });
  return {
    socket: fake.path,
    disks: await Promise.all(
      numbers.map(async (number) => ({
        job: `job${number}`,
        device: `/disk${number}`,
        target: `target${number}`,
        places: [at(`src/disk${number}`), at(`src/disk${number}.former`)],
        file: await fileOf(`src/disk${number}`),
      })),
    ),
    pendingSeconds: 5,
    holdSources: true,
    records: await Promise.all(
      manifests.map(async (name) => ({
        places: [at(`${name}.next`), at(name)],
        file: await fileOf(`${name}.next`),
        measures: [await measured("src", name.slice(-1)), await measured("dst", name.slice(-1))],
      })),
    ),
    stages: [await Promise.all(manifests.map(replacing)), ...(await stages[shape.decides]())],
    commit: shape.decides === "record" ? 2 : 1,
    filters,
  };
}

export async function namesOf({ folder }: SwitchBench): Promise<Names> {
  const manifests = ["src", "dst"].flatMap((side) => [0, 1].map((number) => path.join(folder, side, `manifest${number}`)));
  const current = await Promise.all(manifests.map((file) => readFile(file, "utf8")));
  const bootable = (await readdir(path.join(folder, "src"))).filter((name) => /^disk\d$/.test(name));
  const said = current.map((text) => text.split('"')[0] ?? "");
  return { link: await readlink(path.join(folder, "vm")), manifests: [...new Set(said)], bootable: bootable.sort() };
}

export const before: Names = { link: "src", manifests: ["source"], bootable: ["disk0", "disk1"] };
export const after: Names = { link: "dst", manifests: ["target"], bootable: [] };

/** All of the names, and the guest's images, are on one side. */
export async function isOnOneSide(bench: SwitchBench, where: string): Promise<void> {
  const names = await namesOf(bench);
  assert.equal(bench.jobs.active.length, 1, `${where}: the disks are on both sides`);
  assert.deepEqual(names, bench.jobs.active[0] === "target" ? after : before, where);
}

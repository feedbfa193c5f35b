/** One switch of a real QEMU by the real worker, cut at one call of its child; then the next run; then everything must agree. */

import { existsSync } from "node:fs";
import { readFile, readlink } from "node:fs/promises";
import path from "node:path";
import { isKind, messageOf } from "../../provider/core/errors.js";
import { acquireLock } from "../../provider/host/worker/locks.js";
import { openMonitor } from "../../provider/host/worker/monitors.js";
import { recoverSwitch, runSwitch, type SwitchPlan, type SwitchResult } from "../../provider/host/worker/switching.js";
import { forkServerOf, type LocalWorker, localWorkerProcess } from "../host/worker/harness.js";
import { until } from "../sandbox/command.js";
import { mourn } from "../sandbox/processes.js";
import { type Call, callsIn, type Fault, isFailure, type Point } from "./points.js";
import { Scene, type SceneOptions } from "./scene.js";
import { Strace } from "./strace.js";

const silent = { event: () => {}, closed: () => {} };

type Side = "src" | "dst";

/** What the run saw: a result, or that nobody answers. */
type Outcome = SwitchResult | "no answer";

/** The calls of a switch's child that nobody cuts. */
export async function recordedCalls(options: SceneOptions): Promise<Call[]> {
  const { problems, calls } = await tried(options, "nobody", undefined);
  if (problems.length > 0) throw new Error(`A switch that nobody cuts is wrong: ${problems.join("; ")}`);
  return calls;
}

export interface Tried {
  /** What must hold and does not. */
  problems: string[];
  /** Whether the call was made at all: how often the child asks and waits differs. */
  isReached: boolean;
  calls: Call[];
}

/** What hangs or throws on the way is a problem too. */
export function tryPoint(point: Point): Promise<Tried> {
  return tried(point, point.fault, point).catch((reason: unknown) => ({ problems: [messageOf(reason)], isReached: true, calls: [] }));
}

async function tried(options: SceneOptions, fault: Fault, call: Call | undefined): Promise<Tried> {
  const scene = await Scene.open(options);
  const [run, next] = [await localWorkerProcess(), await localWorkerProcess()];
  try {
    const plan = await scene.plan(next.worker);
    const { outcome, strace } = await switched(scene, { run, plan, fault, call });
    const end = await followed(scene, { run, next, plan, outcome });
    const problems = await disagreements(scene, outcome, end, fault);
    return { problems, isReached: await strace.hasInjected(), calls: callsIn(await strace.text()) };
  } finally {
    await mourn(run.child, "SIGKILL");
    await mourn(next.child, "SIGKILL");
    await scene.close();
  }
}

interface Cut {
  run: LocalWorker;
  plan: SwitchPlan;
  fault: Fault;
  call: Call | undefined;
}

/** To the end of the child, and of those who die with it. */
async function switched(scene: Scene, { run, plan, fault, call }: Cut): Promise<{ outcome: Outcome; strace: Strace }> {
  const { worker, child } = run;
  const pid = child.pid ?? 0;
  const lock = await acquireLock(worker, { path: path.join(scene.folder, "lock") }, { waitSeconds: 0 });
  const monitor = await openMonitor(worker, { path: scene.socket }, silent);
  scene.rememberPeer(monitor.peer);
  const birth = ["-f", "-e", "trace=setsid", "-e", "inject=setsid:signal=STOP:when=1"];
  const midwife = await Strace.attach([forkServerOf(child)], birth, path.join(scene.folder, "birth"));
  await scene.holdWritersOfRaw();
  const outcome = runSwitch(worker, { monitor, plan, locks: [lock.number] }).catch(noAnswer);
  outcome.catch(() => {}); // it is awaited at the end
  const born = await midwife.stopped();
  if (born === undefined) throw new Error("No child was born.");
  await midwife.detach();
  const strace = await Strace.attach([born], straceWords(fault, call), path.join(scene.folder, "trace"));
  const signal = fault.includes("worker") ? "SIGSTOP" : "SIGCONT";
  process.kill(pid, signal);
  process.kill(born, "SIGCONT");
  if (isOfOthers(fault) && (await strace.stopped()) !== undefined) {
    await killOthers(scene, pid, fault);
    process.kill(born, "SIGCONT");
  }
  await strace.end();
  await killOthers(scene, pid, fault);
  return { outcome: await outcome, strace };
}

/** A failure that the worker tells is none that a cut may lead to. */
function noAnswer(reason: unknown): Outcome {
  if (isKind(reason, "outcome-unknown") || isKind(reason, "unreachable")) return "no answer";
  throw reason;
}

/** The child is stopped at the call, and goes on when they are dead. */
function isOfOthers(fault: Fault): boolean {
  return !fault.includes("child") && /worker|QEMU/.test(fault);
}

async function killOthers(scene: Scene, worker: number, fault: Fault): Promise<void> {
  if (fault.includes("QEMU")) await scene.kill();
  if (fault.includes("worker")) killIfThere(worker);
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it is dead already
  }
}

function straceWords(fault: Fault, call: Call | undefined): string[] {
  if (call === undefined) return [];
  const deed = isFailure(fault) ? `error=${fault}` : `signal=${isOfOthers(fault) ? "STOP" : "KILL"}`;
  return ["-e", `trace=${call.name}`, "-e", `inject=${call.name}:${deed}:when=${call.occurrence}`];
}

interface Following {
  run: LocalWorker;
  next: LocalWorker;
  plan: SwitchPlan;
  outcome: Outcome;
}

/** The next run waits for the lock, and puts right what nobody has told it. */
async function followed(scene: Scene, { run, next, plan, outcome }: Following): Promise<Outcome> {
  if (outcome !== "no answer") await run.worker.close();
  const lock = await acquireLock(next.worker, { path: path.join(scene.folder, "lock") }, { waitSeconds: 30 });
  const end = outcome === "no answer" ? await recoverSwitch(next.worker, { plan, peer: scene.peer, locks: [lock.number] }) : outcome;
  await lock.releaseAndRemove();
  return end;
}

async function disagreements(scene: Scene, outcome: Outcome, end: Outcome, fault: Fault): Promise<string[]> {
  const side = await sideOfBoot(scene);
  const wanted = { side, end: end === "no answer" ? end : end.end };
  const problems: string[] = [];
  const expect = (what: string, found: unknown, right: unknown) => {
    const [one, other] = [JSON.stringify(found), JSON.stringify(right)];
    if (one !== other) problems.push(`${what}: ${one} instead of ${other} (${JSON.stringify(wanted)})`);
  };
  expect("the end", sideOfEnd(wanted.end), side);
  expect("manifests", await sidesOfManifests(scene), [side]);
  // a name that cannot be given behind the commit point is only said
  const isOnlySaid = isFailure(fault) && outcome !== "no answer" && outcome.why !== null && side === "dst";
  if (!isOnlySaid)
    expect(
      "names",
      scene.numbers.filter((number) => hasOldName(scene, number)),
      side === "src" ? scene.numbers : [],
    );
  expect("QEMU", scene.isAlive, !fault.includes("QEMU"));
  if (scene.isAlive) {
    expect("jobs", await settledJobs(scene), []);
    expect(
      "active",
      await scene.active(),
      scene.numbers.map((number) => `${side === "src" ? "source" : "target"}${number}`),
    );
    await scene.writeOn().catch((thrown: unknown) => problems.push(messageOf(thrown)));
  }
  await scene.kill();
  await Promise.all(scene.writers.map((writer) => writer.stop()));
  expect("lost", await scene.lost(side), []);
  return problems;
}

function sideOfEnd(end: string): Side | string {
  if (end === "switched" || end === "finished-without-qemu") return "dst";
  return end === "cancelled" || end === "reverted-without-qemu" ? "src" : end;
}

/** Where a boot finds the disks: by the link, the record, or the first disk's old name. */
async function sideOfBoot(scene: Scene): Promise<Side> {
  const { decides } = scene.options;
  if (decides === "link") return (await readlink(path.join(scene.folder, "vm"))) as Side;
  if (decides === "record") return (await readFile(path.join(scene.folder, "record"), "utf8")).startsWith("target") ? "dst" : "src";
  return hasOldName(scene, 0) ? "src" : "dst";
}

function hasOldName(scene: Scene, number: number): boolean {
  return existsSync(path.join(scene.folder, "src", `disk${number}`));
}

async function sidesOfManifests(scene: Scene): Promise<Side[]> {
  const files = ["src", "dst"].flatMap((side) => scene.numbers.map((number) => path.join(scene.folder, side, `manifest${number}`)));
  const texts = await Promise.all(files.map((file) => readFile(file, "utf8")));
  return [...new Set(texts.map((text): Side => (text.startsWith("target") ? "dst" : "src")))];
}

/** Those that have not ended. A job that is cancelled ends soon after its command. */
async function settledJobs(scene: Scene): Promise<string[]> {
  const left = async () => (await scene.jobs()).filter(({ status }) => status !== "concluded").map(({ id, status }) => `${id} ${status}`);
  const none = async () => ((await left()).length === 0 ? [] : undefined);
  return until(5, none, () => "").catch(left);
}

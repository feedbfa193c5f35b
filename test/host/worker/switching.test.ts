import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { isKind } from "../../../provider/core/errors.js";
import { openFile } from "../../../provider/host/worker/files.js";
import { acquireLock } from "../../../provider/host/worker/locks.js";
import { type MonitorPeer, openMonitor } from "../../../provider/host/worker/monitors.js";
import { recoverSwitch, runSwitch, type SwitchPlan, type SwitchResult } from "../../../provider/host/worker/switching.js";
import type { Worker } from "../../../provider/host/worker/worker.js";
import { Strace } from "../../cuts/strace.js";
import { until } from "../../sandbox/command.js";
import { mourn, watchOver } from "../../sandbox/processes.js";
import { fakeMonitor } from "./fake-monitor.js";
import { failure, hasEnded, localWorker, localWorkerProcess, switchOf, undoLater, withWorkers } from "./harness.js";
import { after, before, isOnOneSide, namesOf, planOf, type SwitchBench, switchBench } from "./switch-bench.js";

const silent = { event: () => {}, closed: () => {} };
const dead: MonitorPeer = { pid: 4_000_000, startTime: 1, isAlive: false };

async function switched(worker: Worker, bench: SwitchBench, different: Partial<SwitchPlan> = {}): Promise<SwitchResult> {
  const plan = { ...(await planOf(worker, bench)), ...different };
  return runSwitch(worker, { monitor: await openMonitor(worker, { path: bench.fake.path }, silent), plan, locks: [] });
}

describe("a switch by the worker", function () {
  withWorkers(this);

  it("completes, renames and finalizes, in this order", async () => {
    const [worker, bench] = [await localWorker(), await switchBench()];
    const seen: string[] = [];
    bench.jobs.before = ({ execute }) => {
      if (execute.startsWith("job-")) seen.push(execute);
      return "go on";
    };
    const { end, why, astray, pauseSeconds } = await switched(worker, bench);
    assert.deepEqual({ end, why, astray }, { end: "switched", why: null, astray: [] });
    assert(pauseSeconds !== undefined && pauseSeconds < 10);
    assert.deepEqual(seen, ["job-complete", "job-complete", "job-finalize", "job-finalize"]);
    await isOnOneSide(bench, "after the switch");
    assert.deepEqual(await namesOf(bench), after);
  });

  it("writes the size and time of each image, as they are in pending, into its manifests", async () => {
    const [worker, bench] = [await localWorker(), await switchBench()];
    bench.jobs.before = ({ execute }) => {
      if (execute === "job-complete")
        for (const side of ["src", "dst"]) writeFileSync(path.join(bench.folder, side, "disk1"), `written to ${side} until then`);
      return "go on";
    };
    assert.equal((await switched(worker, bench)).end, "switched");
    for (const side of ["src", "dst"])
      for (const number of [0, 1]) {
        const [left, entered] = [`src/disk${number}.former`, `dst/disk${number}`].map((name) => {
          const { size, mtimeNs } = statSync(path.join(bench.folder, name), { bigint: true });
          return `"sizeBytes": ${size}, "modified": "${mtimeNs / 1_000_000_000n}.${String(mtimeNs % 1_000_000_000n).padStart(9, "0")}"`;
        });
        const text = `target${left}, ${entered}}\n`;
        assert.equal(await readFile(path.join(bench.folder, `${side}/manifest${number}`), "utf8"), text);
      }
  });

  it("without a link is decided by its last stage: a name that is taken sets all back", async () => {
    const [worker, bench] = [await localWorker(), await switchBench()];
    const { stages } = await planOf(worker, bench);
    await writeFile(path.join(bench.folder, "src/disk1.former"), "somebody's");
    const withoutLink = stages.filter((_, index) => index !== 1);
    const { end, why } = await switched(worker, bench, { stages: withoutLink, commit: 1 });
    assert.equal(end, "cancelled");
    assert.match(why ?? "", /File exists/);
    assert.deepEqual(await namesOf(bench), before);
    await isOnOneSide(bench, "after the cancel");
  });

  it("with a link is decided by that: a name that is taken afterwards is only said", async () => {
    const [worker, bench] = [await localWorker(), await switchBench()];
    await writeFile(path.join(bench.folder, "src/disk1.former"), "somebody's");
    const { end, why } = await switched(worker, bench);
    assert.equal(end, "switched");
    assert.match(why ?? "", /File exists/);
    assert.deepEqual(await namesOf(bench), { ...after, bootable: ["disk1"] });
  });

  it("is cancelled where a manifest cannot be completed", async () => {
    const [worker, bench] = [await localWorker(), await switchBench()];
    const plan = await planOf(worker, bench);
    const monitor = await openMonitor(worker, { path: bench.fake.path }, silent);
    bench.jobs.before = ({ execute }) => {
      if (execute === "query-jobs") rmSync(path.join(bench.folder, "dst/manifest1.next"), { force: true });
      return "go on";
    };
    const { end } = await runSwitch(worker, { monitor, plan, locks: [] });
    assert.equal(end, "cancelled");
    assert.deepEqual(await namesOf(bench), before);
  });

  it("whose QEMU is gone ends on its side, and says which name it could not give", async () => {
    const [worker, bench] = [await localWorker(), await switchBench()];
    const plan = await planOf(worker, bench);
    await rename(path.join(bench.folder, "vm.next"), path.join(bench.folder, "vm"));
    await writeFile(path.join(bench.folder, "src/disk1.former"), "somebody's");
    const { end, why } = await recoverSwitch(worker, { plan, peer: dead, locks: [] });
    assert.equal(end, "finished-without-qemu");
    assert.match(why ?? "", /File exists/);
    assert.deepEqual(await namesOf(bench), { ...after, bootable: ["disk1"] });
  });

  for (const end of ["switched", "cancelled"] as const)
    it(`that is ${end} leaves one name of a file that has both, as a rename that was cut may leave it`, async () => {
      const [worker, bench] = [await localWorker(), await switchBench()];
      const { stages } = await planOf(worker, bench);
      await link(path.join(bench.folder, "src/disk0"), path.join(bench.folder, "src/disk0.former"));
      if (end === "cancelled") await writeFile(path.join(bench.folder, "src/disk1.former"), "somebody's");
      const withoutLink = stages.filter((_, index) => index !== 1);
      assert.equal((await switched(worker, bench, end === "switched" ? {} : { stages: withoutLink, commit: 1 })).end, end);
      assert.deepEqual(await namesOf(bench), end === "switched" ? after : before);
      assert.equal(existsSync(path.join(bench.folder, "src/disk0.former")), end === "switched");
    });

  it("refuses a plan with an empty stage", async () => {
    const [worker, bench] = [await localWorker(), await switchBench()];
    await failure("bad-request", switched(worker, bench, { stages: [[]], commit: 0 }));
  });

  it("of disks under filters of the guest's own is told by the node below them", async () => {
    for (const last of ["go on", "answered"] as const) {
      const [worker, bench] = [await localWorker(), await switchBench()];
      bench.jobs.above = ["throttle", "copy-on-read"];
      bench.jobs.before = ({ execute, id, arguments: { id: job } }, say) => {
        if (last === "go on" || execute !== "job-finalize" || job !== "job1") return "go on";
        Object.assign(bench.jobs.jobs.get("job1") ?? {}, { status: "concluded" });
        say({ return: {}, id });
        return last;
      };
      const { end, astray } = await switched(worker, bench);
      assert.deepEqual([end, astray], last === "go on" ? ["switched", []] : ["astray", ["job1"]]);
    }
  });

  it("is called off, and its guest goes on, where a QEMU refuses to tell its graph and a name is taken", async () => {
    const [worker, bench] = [await localWorker(), await switchBench()];
    const { stages } = await planOf(worker, bench);
    await writeFile(path.join(bench.folder, "src/disk1.former"), "somebody's");
    bench.jobs.above = ["throttle"];
    bench.jobs.before = ({ execute, id }, say) => {
      if (!execute.startsWith("x-")) return "go on";
      say({ error: { class: "GenericError", desc: `Unstable command ${execute} disabled by policy` }, id });
      return "answered";
    };
    const withoutLink = stages.filter((_, index) => index !== 1);
    assert.equal((await switched(worker, bench, { stages: withoutLink, commit: 1 })).end, "cancelled");
    assert.deepEqual(
      [...bench.jobs.jobs.values()].map(({ status }) => status),
      ["concluded", "concluded"],
    );
    assert.deepEqual(await namesOf(bench), before);
  });

  it("is not done where a job has been cancelled in ready, which may end without an error", async () => {
    const [worker, bench] = [await localWorker(), await switchBench()];
    bench.jobs.above = ["throttle"];
    for (const job of bench.jobs.jobs.values()) job.status = "concluded";
    assert.equal((await switched(worker, bench)).end, "cancelled");
    assert.deepEqual(await namesOf(bench), before);
  });

  it("holds QEMU's image lock on every source while names change and jobs are finalized, and on no target", async () => {
    const [worker, bench] = [await localWorker(), await switchBench()];
    const held: string[] = [];
    bench.jobs.before = ({ execute }) => {
      if (execute.startsWith("job-")) held.push(`${execute}: ${imageLocks(bench).join(", ")}`);
      return "go on";
    };
    await switched(worker, bench);
    const both = "src/disk0.former, src/disk1.former";
    assert.deepEqual(held, ["job-complete: ", "job-complete: ", `job-finalize: ${both}`, `job-finalize: ${both}`]);
    assert.deepEqual(imageLocks(bench), []);
  });

  it("holds no image lock when jobs are cancelled: QEMU 7.2 aborts on a raw source that is locked", async () => {
    const [worker, bench] = [await localWorker(), await switchBench()];
    const held: string[] = [];
    let pending = 0;
    bench.jobs.before = ({ execute }) => {
      // after the locks it is asked once more, and then a job has ended
      const job = bench.jobs.jobs.get("job1");
      if (execute === "query-jobs" && ++pending === 2 && job) {
        held.push(`then: ${imageLocks(bench).length}`);
        job.status = "concluded";
      }
      if (execute === "job-cancel") held.push(`job-cancel: ${imageLocks(bench).length}`);
      return "go on";
    };
    assert.equal((await switched(worker, bench)).end, "cancelled");
    assert.deepEqual(held, ["then: 2", "job-cancel: 0", "job-cancel: 0"]);
  });

  it("is cancelled where another process has a source open as QEMU opens one", async () => {
    const [worker, bench] = [await localWorker(), await switchBench()];
    const script = `import fcntl, struct, sys, time
file = open(sys.argv[1], "r+b")
fcntl.fcntl(file, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 201, 1, 0))
print("held", flush=True)
time.sleep(60)`;
    const other = watchOver(spawn("/usr/bin/python3", ["-c", script, path.join(bench.folder, "src/disk1")], { stdio: "pipe" }), "a holder");
    undoLater(() => mourn(other, "SIGKILL"));
    await new Promise((resolve) => other.stdout?.once("data", resolve));
    const { end, why } = await switched(worker, bench);
    assert.equal(end, "cancelled");
    assert.match(why ?? "", /\/disk1: another process has its image open for writing/);
    assert.deepEqual(await namesOf(bench), before);
  });

  it("is cancelled where a job ends by itself, and no name has changed", async () => {
    const [worker, bench] = [await localWorker(), await switchBench()];
    bench.jobs.before = ({ execute }) => {
      const job = bench.jobs.jobs.get("job1");
      if (execute === "query-jobs" && job) job.status = "concluded";
      return "go on";
    };
    assert.equal((await switched(worker, bench)).end, "cancelled");
    assert.deepEqual(await namesOf(bench), before);
    await isOnOneSide(bench, "after the cancel");
  });

  it("is cancelled where a job is not pending in time", async () => {
    const [worker, bench] = [await localWorker(), await switchBench()];
    bench.jobs.before = ({ execute, id, arguments: { id: job } }, say) => {
      if (execute !== "job-complete" || job !== "job1") return "go on";
      say({ return: {}, id });
      return "answered";
    };
    const { end, why } = await switched(worker, bench, { pendingSeconds: 0.3 });
    assert.equal(end, "cancelled");
    assert.match(why ?? "", /not all jobs were pending within 0\.3 s/);
    assert.deepEqual(await namesOf(bench), before);
  });

  it("is finished where one disk has pivoted already: then there is no way back", async () => {
    const [worker, bench] = [await localWorker(), await switchBench()];
    bench.jobs.jobs.set("job0", { status: "concluded", active: "target" });
    assert.equal((await switched(worker, bench)).end, "switched");
    assert.deepEqual(await namesOf(bench), after);
  });

  it("says which disk did not pivot, whatever job-finalize answered", async () => {
    const [worker, bench] = [await localWorker(), await switchBench()];
    bench.jobs.before = ({ execute, id, arguments: { id: job } }, say) => {
      if (execute !== "job-finalize" || job !== "job1") return "go on";
      Object.assign(bench.jobs.jobs.get("job1") ?? {}, { status: "concluded" });
      say({ return: {}, id });
      return "answered";
    };
    const { end, astray } = await switched(worker, bench);
    assert.deepEqual([end, astray], ["astray", ["job1"]]);
  });

  for (const [refusals, ends] of [
    [1, "switched"],
    [99, "astray"],
  ] as const)
    it(`leaves no job pending that QEMU refuses to finalize ${refusals} times: it is ${ends}`, async () => {
      const [worker, bench] = [await localWorker(), await switchBench()];
      let left: number = refusals;
      bench.jobs.before = ({ execute, id, arguments: { id: job } }, say) => {
        if (execute !== "job-finalize" || job !== "job1" || left-- <= 0) return "go on";
        say({ error: { class: "GenericError", desc: "not now" }, id });
        return "answered";
      };
      const { end, astray, why } = await switched(worker, bench);
      assert.deepEqual([end, astray], ends === "astray" ? ["astray", ["job1"]] : ["switched", []]);
      if (ends === "astray") assert.match(why ?? "", /not now/);
      assert.notEqual(bench.jobs.jobs.get("job1")?.status, "pending");
    });

  it("goes on by a new connection where the old one breaks and QEMU lives, on either side of the commit point", async () => {
    for (const at of ["query-jobs", "job-finalize"]) {
      const [worker, bench] = [await localWorker(), await switchBench()];
      let cuts = 1;
      bench.jobs.before = ({ execute }) => {
        if (execute !== at || cuts-- <= 0) return "go on";
        bench.fake.hangUp();
        return "answered";
      };
      assert.equal((await switched(worker, bench)).end, at === "job-finalize" ? "switched" : "cancelled");
      await isOnOneSide(bench, `cut at ${at}`);
    }
  });

  it("does nothing where a file is not the expected one", async () => {
    const [worker, bench] = [await localWorker(), await switchBench()];
    const plan = await planOf(worker, bench);
    const stranger = path.join(bench.folder, "src/manifest0.next");
    await rm(stranger);
    await writeFile(stranger, "target");
    await failure(
      "other-file",
      runSwitch(worker, { monitor: await openMonitor(worker, { path: bench.fake.path }, silent), plan, locks: [] }),
    );
    assert.deepEqual(bench.fake.commands, []);
    assert.deepEqual(await namesOf(bench), before);
  });

  for (const way of ["release", "releaseAndRemove"] as const)
    it(`keeps each lock to its end, also one that the client has given back by ${way}`, async () => {
      const [worker, other, bench] = [await localWorker(), await localWorker(), await switchBench()];
      const place = { path: path.join(bench.folder, "job0.lock") };
      const lock = await acquireLock(worker, place, { waitSeconds: 0 });
      let tried: Promise<unknown> | undefined;
      bench.jobs.before = ({ execute, id }, say) => {
        if (execute !== "job-complete" || tried) return "go on";
        tried = lock[way]().then(() => failure("held", acquireLock(other, place, { waitSeconds: 0 })));
        tried.finally(() => {
          Object.assign(bench.jobs.jobs.get("job0") ?? {}, { status: "pending" });
          say({ return: {}, id });
        });
        return "answered";
      };
      assert.equal((await switched(worker, bench)).end, "switched");
      await tried;
      await (await acquireLock(other, place, { waitSeconds: 5 })).releaseAndRemove();
    });

  it("keeps no lock of another disk, which this client moves at the same time", async () => {
    const [worker, other, bench] = [await localWorker(), await localWorker(), await switchBench()];
    const place = { path: path.join(bench.folder, "job9.lock") };
    const lock = await acquireLock(worker, place, { waitSeconds: 0 });
    let tried: Promise<unknown> | undefined;
    bench.jobs.before = (command, say) => {
      if (command.execute !== "job-complete" || tried) return "go on";
      tried = lock.releaseAndRemove().then(async () => (await acquireLock(other, place, { waitSeconds: 0 })).releaseAndRemove());
      tried.finally(() => bench.jobs.answer(command, say));
      return "answered";
    };
    assert.equal((await switched(worker, bench)).end, "switched");
    await tried;
  });

  it("is carried to its end although its client ends", async () => {
    const [worker, bench] = [await localWorker(), await switchBench()];
    const plan = await planOf(worker, bench);
    const monitor = await openMonitor(worker, { path: bench.fake.path }, silent);
    let closed: Promise<void> | undefined;
    bench.jobs.before = ({ execute }) => {
      if (execute === "job-complete") closed ??= worker.close();
      return "go on";
    };
    await runSwitch(worker, { monitor, plan, locks: [] });
    await closed;
    assert.deepEqual(await namesOf(bench), after);
    await isOnOneSide(bench, "after the client's end");
  });
});

describe("a switch whose worker is killed", function () {
  withWorkers(this);
  this.timeout(60_000);

  /** Killed when the first such command comes, with its process group or its sudo; the command is answered afterwards. */
  async function orphaned(at: string, through: "setsid" | "sudo"): Promise<SwitchBench & { lock: { path: string } }> {
    const bench = await switchBench();
    const { worker, child } = await localWorkerProcess({ through: through === "sudo" ? ["sudo", "-n"] : ["setsid"] });
    assert(child.pid);
    const killed = through === "sudo" ? [worker.hello.pid, child.pid] : [-child.pid];
    const lock = { path: path.join(bench.folder, "job0.lock") }; // as the lock of one of its disks is named
    await acquireLock(worker, lock, { waitSeconds: 0 });
    bench.jobs.before = ({ execute }) => {
      if (execute === at) for (const pid of killed.splice(0)) process.kill(pid, "SIGKILL");
      return "go on";
    };
    await assert.rejects(switched(worker, bench));
    return { ...bench, lock };
  }

  for (const at of ["job-complete", "query-jobs", "job-finalize"]) {
    it(`at ${at} goes on to its end, and holds the worker's locks until then`, async () => {
      const bench = await orphaned(at, "setsid");
      const lock = await acquireLock(await localWorker(), bench.lock, { waitSeconds: 20 });
      assert.deepEqual(await namesOf(bench), after);
      await isOnOneSide(bench, "when the lock is free");
      await lock.releaseAndRemove();
    });
  }

  it("with its sudo goes on to its end", async function () {
    if (process.getuid?.() !== 0) this.skip();
    const bench = await orphaned("query-jobs", "sudo");
    const lock = await acquireLock(await localWorker(), bench.lock, { waitSeconds: 20 });
    await isOnOneSide(bench, "when the lock is free");
    assert.deepEqual(await namesOf(bench), after);
    await lock.releaseAndRemove();
  });

  it("closes no file of another run's: its file system may hang", async () => {
    const bench = await switchBench();
    const other = path.join(bench.folder, "other");
    await writeFile(other, "");
    const through = ["strace", "-f", "-o", path.join(bench.folder, "trace"), "-P", other, "-e", "trace=close,name_to_handle_at"];
    const { worker } = await localWorkerProcess({ through });
    await openFile(worker, { path: other });
    assert.equal((await switched(worker, bench)).end, "switched");
    const calls = (await traceOf(bench)).match(/\w+(?=\()/g);
    assert.deepEqual([...new Set(calls)], ["name_to_handle_at"]);
  });

  it("has neither the session's channel nor another guest's monitor", async () => {
    const [bench, other] = [await switchBench(), await fakeMonitor()];
    const { worker, child } = await localWorkerProcess();
    await openMonitor(worker, { path: other.path }, silent);
    let seen: string[] = [];
    bench.jobs.before = ({ execute }) => {
      if (execute === "job-complete") seen = filesOf(switchOf(child));
      return "go on";
    };
    await switched(worker, bench);
    const sockets = (files: string[]) => files.filter((file) => file.startsWith("socket:")).length;
    assert.deepEqual([...seen.slice(0, 3), sockets(seen)], ["/dev/null", "/dev/null", "/dev/null", 2]);
    assert.equal(sockets(filesOf(child.pid).slice(3)), 3);
  });
});

/** What it has open, by number. */
function filesOf(pid: number | undefined): string[] {
  const folder = `/proc/${pid}/fd`;
  const numbers = readdirSync(folder).map(Number);
  return numbers.sort((a, b) => a - b).map((number) => readlinkSync(path.join(folder, String(number))));
}

describe("a monitor during a switch", function () {
  withWorkers(this);

  it("answers others when the switch has ended, and tells events again", async () => {
    const [worker, bench] = [await localWorker(), await switchBench()];
    const events: string[] = [];
    const monitor = await openMonitor(worker, { path: bench.fake.path }, { event: ({ event }) => events.push(event), closed: () => {} });
    const plan = await planOf(worker, bench);
    let asked: Promise<unknown> | undefined;
    const order: string[] = [];
    bench.jobs.before = ({ execute }) => {
      if (execute === "job-complete") asked ??= monitor.query("query-jobs").then(() => order.push("asked"));
      order.push(execute);
      return "go on";
    };
    await runSwitch(worker, { monitor, plan, locks: [] });
    await asked;
    assert.deepEqual(order.slice(order.lastIndexOf("job-finalize")), ["job-finalize", "query-jobs", "query-block", "query-jobs", "asked"]);
    bench.fake.say({ event: "STOP" });
    await until(
      5,
      () => events.find((event) => event === "STOP"),
      () => "No event came.",
    );
  });
});

/** Files of the bench on which somebody has byte 201 locked. */
function imageLocks({ folder }: SwitchBench): string[] {
  const lines = readFileSync("/proc/locks", "utf8").split("\n");
  const inodes = new Set(lines.filter((line) => / OFDLCK .* 201 201$/.test(line)).map((line) => line.split(/\s+/)[5]?.split(":")[2]));
  const files = ["src", "dst"].flatMap((side) => readdirSync(path.join(folder, side)).map((name) => `${side}/${name}`));
  return files.filter((name) => /disk\d/.test(name) && inodes.has(String(statSync(path.join(folder, name)).ino))).sort();
}

/** Calls of the system by which the switch changes something, how many of each it makes at least, and whether a child that goes on behind a dead one makes fewer. */
const calls = [
  { call: "renameat2", least: 2, fewer: true },
  { call: "renameat", least: 5, fewer: true },
  { call: "fsync", least: 4, fewer: true },
  { call: "sendto", least: 4, fewer: false },
];

/**
 * Runs the switch in a worker in which strace meddles with the n-th such call of each process and thread. Without a reply the worker was
 * killed. Not with --seccomp-bpf: strace 6.1 loses count with it, and kills at the first call or never.
 */
async function meddled(bench: SwitchBench, call: string, ...deeds: string[]): Promise<"told" | "cut"> {
  const traced = ["-e", `trace=${call},socketpair,exit_group`, ...deeds.flatMap((deed) => ["-e", `inject=${deed}`])];
  const through = ["strace", "-f", "-o", path.join(bench.folder, "trace"), ...traced];
  const { worker, child } = await localWorkerProcess({ through });
  try {
    await switched(worker, bench);
    return "told";
  } catch (thrown) {
    assert(isKind(thrown, "outcome-unknown") || isKind(thrown, "unreachable"), String(thrown));
    await hasEnded(child); // strace, which writes what it did before it ends
    return "cut";
  }
}

async function traceOf({ folder }: SwitchBench): Promise<string> {
  return readFile(path.join(folder, "trace"), "utf8");
}

const self = async (): Promise<MonitorPeer> => ({ pid: process.pid, startTime: await startTime(process.pid), isAlive: true });

describe("a switch whose child is killed", function () {
  withWorkers(this);
  this.timeout(180_000);

  it("goes on by the same connection, and takes no late reply to the dead one for its own", async () => {
    const [{ worker, child }, bench] = [await localWorkerProcess(), await switchBench()];
    const late: string[] = [];
    bench.jobs.before = ({ id }, say) => {
      for (const former of late.splice(0)) say({ error: { class: "GenericError", desc: "of the dead one" }, id: former });
      if (bench.fake.commands.length > 1) return "go on";
      late.push(id);
      process.kill(switchOf(child), "SIGKILL");
      return "answered";
    };
    const { end, why } = await switched(worker, bench);
    assert.deepEqual([end, why, bench.fake.clients.length], ["cancelled", "it was cut before its commit point", 1]);
    await isOnOneSide(bench, "after the death");
  });

  for (const { call, least, fewer } of calls) {
    it(`at any ${call} is finished or reverted at once, or by the next worker where all children and the worker die`, async () => {
      let told = 0;
      for (let at = 1; ; at++) {
        const bench = await switchBench();
        const plan = await planOf(await localWorker(), bench);
        const how = await meddled(bench, call, `${call}:signal=KILL:when=${at}`);
        if (how === "told") told++;
        else await recoverSwitch(await localWorker(), { plan, peer: await self(), locks: [] });
        await isOnOneSide(bench, `killed at ${call} ${at}`);
        if (!(await traceOf(bench)).includes("killed by SIGKILL"))
          return assert(at > least && (told > 1 || !fewer), `${at - 1} cuts, ${told} told`);
      }
    });
  }
});

/** The worker is killed when it begins a second child: each has a pair of sockets. */
const withItsWorker = "socketpair:signal=KILL:when=2";

describe("a switch whose child and worker are killed", function () {
  withWorkers(this);
  this.timeout(180_000);

  for (const { call, least } of calls) {
    it(`at any ${call} is finished or reverted by the next one`, async () => {
      for (let at = 1; ; at++) {
        const bench = await switchBench();
        const plan = await planOf(await localWorker(), bench);
        if ((await meddled(bench, call, `${call}:signal=KILL:when=${at}`, withItsWorker)) === "told")
          return assert(at > least, `${at - 1} cuts`);
        const isDecided = (await namesOf(bench)).link === "dst";
        const { end } = await recoverSwitch(await localWorker(), { plan, peer: await self(), locks: [] });
        assert.equal(end, isDecided ? "switched" : "cancelled", `killed at ${call} ${at}`);
        await isOnOneSide(bench, `killed at ${call} ${at}`);
      }
    });

    it(`at any ${call}, and then its QEMU, leaves one side's names after the next one`, async () => {
      for (let at = 1; ; at++) {
        const bench = await switchBench();
        const plan = await planOf(await localWorker(), bench);
        if ((await meddled(bench, call, `${call}:signal=KILL:when=${at}`, withItsWorker)) === "told")
          return assert(at > least, `${at - 1} cuts`);
        const { end } = await recoverSwitch(await localWorker(), { plan, peer: dead, locks: [] });
        const names = await namesOf(bench);
        assert.deepEqual(names, end === "finished-without-qemu" ? after : before, `killed at ${call} ${at}`);
        if (bench.jobs.active.includes("target")) assert.deepEqual(names, after, `a disk has pivoted at ${call} ${at}`);
      }
    });
  }
});

describe("a switch in which a call fails", function () {
  withWorkers(this);
  this.timeout(180_000);

  // names are taken behind the commit point, and replaced up to it; a directory is synced on both sides of it
  for (const [call, error, least, decided] of [
    ["renameat2", "EACCES", 2, ["dst"]],
    ["renameat", "EROFS", 5, ["src"]],
    ["fsync", "EIO", 4, ["src", "dst"]],
  ] as const) {
    it(`with ${error} at any ${call} leaves link and images on one side, and all names where it is cancelled`, async () => {
      for (let at = 1; ; at++) {
        const bench = await switchBench();
        assert.equal(await meddled(bench, call, `${call}:error=${error}:when=${at}`), "told");
        if (!(await traceOf(bench)).includes("INJECTED")) return assert(at > least, `${at - 1} failed`);
        const names = await namesOf(bench);
        const { link } = names;
        if (link === "src") assert.deepEqual(names, before, `${error} at ${call} ${at}`);
        assert((decided as readonly string[]).includes(link), `${error} at ${call} ${at}: ${link}`);
        assert.deepEqual(bench.jobs.active, [link === "dst" ? "target" : "source"], `${error} at ${call} ${at}`);
      }
    });
  }
});

describe("a switch in which the link's directory fails from one call on", function () {
  withWorkers(this);
  this.timeout(180_000);

  /** Jobs are at their end, and the guest's images are where the link leads to. */
  async function sideOf(bench: SwitchBench, where: string): Promise<string> {
    const { link } = await namesOf(bench);
    const states = [...bench.jobs.jobs.values()].map(({ status }) => status);
    assert.deepEqual([bench.jobs.active, new Set(states)], [[link === "dst" ? "target" : "source"], new Set(["concluded"])], where);
    return link;
  }

  /** Only what goes by that directory, and only in the switch's child. */
  async function failing(bench: SwitchBench, ...deeds: string[]): Promise<SwitchResult> {
    const { worker, child } = await localWorkerProcess();
    let strace: Promise<Strace> | undefined;
    bench.jobs.before = (command, say) => {
      if (strace) return "go on";
      const words = ["-P", bench.folder, ...deeds.flatMap((deed) => ["-e", `inject=${deed}`])];
      strace = Strace.attach([switchOf(child)], words, path.join(bench.folder, "trace"));
      strace.then(() => bench.jobs.answer(command, say));
      return "answered";
    };
    const result = await switched(worker, bench);
    await (await strace)?.end();
    return result;
  }

  it("so that the link's new form is neither safely there nor taken back, has no boot find an image that goes stale", async () => {
    const bench = await switchBench();
    await failing(bench, "fsync:error=EIO", "renameat:error=EROFS:when=2+");
    assert.equal(await sideOf(bench, "after the link"), "dst");
    assert.deepEqual((await namesOf(bench)).bootable, []);
  });

  it("so that none of its names can be read, leaves no job pending, and link and images on one side", async () => {
    const sides = new Set<string>();
    for (let at = 1; ; at++) {
      const bench = await switchBench();
      await failing(bench, `newfstatat:error=EIO:when=${at}+`);
      sides.add(await sideOf(bench, `newfstatat ${at}`));
      if (!(await traceOf(bench)).includes("INJECTED")) return assert(at > 3 && sides.has("src"), `${at - 1} failed`);
    }
  });

  it("so that nothing goes there after the link's new form, has the guest go over", async () => {
    const bench = await switchBench();
    await failing(bench, "fsync:error=EIO", "renameat:error=EIO:when=2+", "newfstatat:error=EIO:when=3+");
    assert.equal(await sideOf(bench, "after the link"), "dst");
  });
});

async function startTime(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8");
  return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[19]);
}

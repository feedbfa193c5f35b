/** How fast a move goes and how long it waits: `maxBytesPerSecond`, for the copy and for the mirror, and `stallSeconds`. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readlink, stat } from "node:fs/promises";
import path from "node:path";
import type { Properties } from "../../provider/core/lifecycle.js";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { until } from "../sandbox/command.js";
import { mourn, watchOver } from "../sandbox/processes.js";
import { assertSentence, onOwnStage, Recorder } from "./stage.js";

const MiB = 2 ** 20;

interface BlockJob {
  device: string;
  offset: number;
  speed: number;
}

describe("a move that may take its time", function () {
  this.timeout(180_000);
  const stage = onOwnStage({ disks: (at) => [{ storage: at("path1") }, { storage: at("path1"), id: "vdb" }] });

  /** Begins a move, waits until it is where the test wants to look, looks, asks it to stop, and takes its end. */
  async function during<T>(different: Properties, look: () => Promise<T>): Promise<T> {
    const run = new Recorder();
    const moving = stage().moves(different, run);
    const unfinished = assert.rejects(moving, Unfinished);
    try {
      return await look();
    } finally {
      run.ask();
      await unfinished;
    }
  }

  /** So much is on the storage of the copy under way. */
  async function partialBytes(): Promise<number> {
    const names = (await readdir(stage().at("path2"))).filter((name) => name.includes(".lm-partial-"));
    const sizes = await Promise.all(names.map(async (name) => (await stat(stage().at("path2", name))).blocks * 512));
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  async function mirrorJob(): Promise<BlockJob | undefined> {
    const jobs = (await stage().operator.execute("query-block-jobs")) as BlockJob[];
    return jobs.find(({ device }) => device.endsWith("-mirror"));
  }

  /** Bytes a second over `more` bytes, from the first growth on. */
  async function rateOf(bytesNow: () => Promise<number>, more: number): Promise<number> {
    const beyond = (bytes: number) => () => bytesNow().then((now) => (now > bytes ? now : undefined));
    const late = () => "It does not grow.";
    const from = await until(60, beyond(await bytesNow()), late);
    const began = performance.now();
    const to = await until(60, beyond(from + more), late);
    return (1000 * (to - from)) / (performance.now() - began);
  }

  it("copies no faster than it may, and the next run of a cut one at the speed that it is given", async () => {
    const rate = await during({ maxBytesPerSecond: 16 * MiB }, () => rateOf(partialBytes, 24 * MiB));
    assert(rate < 20 * MiB, `${rate / MiB} MiB/s where 16 are allowed`);
    const slower = await during({ maxBytesPerSecond: 4 * MiB }, () => rateOf(partialBytes, 8 * MiB));
    assert(slower < 5.5 * MiB, `${slower / MiB} MiB/s where 4 are allowed`);
  });

  it("mirrors no faster than it may, and the next run of a cut one gives the running job the speed that it is given", async () => {
    await during({ maxBytesPerSecond: 32 * MiB }, () => rateOf(partialBytes, 48 * MiB)); // the copy, which is no matter here
    const growing = async () => (await mirrorJob())?.offset ?? 0;
    const [rate, speed] = await during({ maxBytesPerSecond: 4 * MiB }, async () => [
      await rateOf(growing, 8 * MiB),
      (await mirrorJob())?.speed,
    ]);
    assert.equal(speed, 4 * MiB);
    assert(rate !== undefined && rate < 6 * MiB, `${(rate ?? 0) / MiB} MiB/s where 4 are allowed`);
    const cut = await mirrorJob();
    assert(cut !== undefined && cut.offset >= 8 * MiB, "the mirror goes on without its run");
    await during({ maxBytesPerSecond: 2 * MiB }, () =>
      until(
        60,
        async () => ((await mirrorJob())?.speed === 2 * MiB ? true : undefined),
        () => "The job was not given its new speed.",
      ),
    );
    assert(((await mirrorJob())?.offset ?? 0) >= cut.offset, "it is still the same mirror");
    assert.equal((await stage().moves({ maxBytesPerSecond: 0 })).vda?.phase, "settled");
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "old.qcow2"), "vda");
  });

  it("is given up after stallSeconds when the copy stands still, and goes on with the next run", async () => {
    const run = new Recorder();
    const moving = stage().moves({ disks: ["vdb"], maxBytesPerSecond: 8 * MiB, stallSeconds: 10 }, run);
    const failed = moving.catch((reason: unknown) => reason);
    await rateOf(partialBytes, MiB);
    const hanging = await hang(stage().at("path2"));
    const began = performance.now();
    try {
      const reason = await failed;
      assert(reason instanceof Unfinished, String(reason));
      assert.match(reason.message, /told no progress for 10 s.* current: vdb at .*path1\/vdb-old\.qcow2/);
      assert(performance.now() - began < 40_000, `it took ${performance.now() - began} ms`);
      const again: unknown = await stage()
        .moves({ disks: ["vdb"], stallSeconds: 10 })
        .catch((thrown: unknown) => thrown);
      assert(again instanceof Unfinished, String(again));
      assert.match(again.message, /process [\d, ]+ has its lock, and the copy has not grown for 10 s\. End that process, then run/);
    } finally {
      await mourn(hanging, "SIGTERM");
    }
    await stage().guest.waitForRecords(5);
  });

  it("is given up after stallSeconds when the mirror stands still, and the next run lets it go on", async () => {
    const run = new Recorder();
    const moving = stage().moves({ disks: ["vdb"], maxBytesPerSecond: 16 * MiB, stallSeconds: 10 }, run);
    const failed = moving.catch((reason: unknown) => reason);
    const job = await until(60, mirrorJob, () => "No mirror was started.");
    await stage().operator.execute("block-job-set-speed", { device: job.device, speed: 1 });
    const reason = await failed;
    assert(reason instanceof Unfinished, String(reason));
    assertSentence(`Unable to move: ${reason.message}`);
    assert.match(
      reason.message,
      /Nothing has moved for 10 s \(vdb is mirroring\)\. The guest runs on, and nothing is lost\. .*run `pulumi up` again\. current: vdb at .*path1\/vdb-old\.qcow2/,
    );
    assert.equal((await mirrorJob())?.speed, 1);
    assert.equal((await stage().moves({ disks: ["vdb"] })).vdb?.phase, "settled");
    await stage().guest.waitForRecords(10);
    await stage().guest.stop();
    await stage().holdsAll(stage().at("path2", "vdb-old.qcow2"), "vdb");
  });
});

/** What is written to this folder's partial hangs, as on a storage that answers nothing; the process that writes goes on otherwise. */
async function hang(folder: string): Promise<ChildProcess> {
  const partial = (await readdir(folder)).find((name) => name.includes(".lm-partial-")) ?? assert.fail("there is no partial");
  const file = path.join(folder, partial);
  const [pid] = await holdersOf(file);
  assert(pid !== undefined, "somebody copies");
  const words = ["-f", "-p", String(pid), "-o", "/dev/null", "-P", file, "-e", "trace=writev", "-e", "inject=writev:delay_enter=300000000"];
  const strace = watchOver(spawn("strace", words, { stdio: ["ignore", "ignore", "pipe"] }), "strace");
  assert(strace.stderr);
  await once(strace.stderr, "data");
  return strace;
}

/** Processes that have a file open. */
async function holdersOf(file: string): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const holds = async (pid: string) => {
    const folder = `/proc/${pid}/fd`;
    const fds = await readdir(folder).catch(() => []);
    const links = await Promise.all(fds.map((fd) => readlink(path.join(folder, fd)).catch(() => "")));
    return links.includes(file);
  };
  const held = await Promise.all(pids.map(async (pid) => ((await holds(pid)) ? [Number(pid)] : [])));
  return held.flat();
}

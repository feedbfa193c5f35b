import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { Duplex, PassThrough } from "node:stream";
import { z } from "zod";
import { isKind, messageOf } from "../../../provider/core/errors.js";
import { openDirectory } from "../../../provider/host/worker/directories.js";
import { readFile } from "../../../provider/host/worker/files.js";
import { acquireLock } from "../../../provider/host/worker/locks.js";
import { reads } from "../../../provider/host/worker/operation.js";
import { startScript, workerProgram } from "../../../provider/host/worker/program.js";
import { runProgram } from "../../../provider/host/worker/programs.js";
import { startWorker } from "../../../provider/host/worker/start.js";
import { failure, hasEnded, localWorker, localWorkerProcess, scratch, withWorkers } from "./harness.js";

const sleep = (seconds: number) => ["sleep", String(seconds)];

describe("the worker's protocol", function () {
  withWorkers(this);

  it("begins with the versions, the boot and the account", async () => {
    const { hello } = await localWorker();
    assert.deepEqual({ uid: hello.uid, boot: /^[0-9a-f-]{36}$/.test(hello.bootId) }, { uid: process.getuid?.(), boot: true });
    assert.match(hello.python, /^3\.\d+\.\d+$/);
  });

  it("answers a short request while a long one runs", async () => {
    const worker = await localWorker();
    const order: string[] = [];
    const long = runProgram(worker, sleep(0.5)).then(() => order.push("long"));
    await runProgram(worker, ["true"]).then(() => order.push("short"));
    await long;
    assert.deepEqual(order, ["short", "long"]);
  });

  it("cancels one request by its signal, and not its neighbour", async () => {
    const worker = await localWorker();
    const stop = new AbortController();
    const cancelled = runProgram(worker, sleep(30), { signal: stop.signal });
    const neighbour = runProgram(worker, sleep(0.5));
    stop.abort();
    await failure("cancelled", cancelled);
    assert.equal((await neighbour).exitStatus, 0);
  });

  it("cancels what was cancelled before it was asked", async () => {
    const worker = await localWorker();
    await failure("cancelled", runProgram(worker, sleep(30), { signal: AbortSignal.abort() }));
  });

  it("answers a request that takes too long by itself", async () => {
    const worker = await localWorker();
    await failure("timed-out", runProgram(worker, sleep(30), { deadlineSeconds: 0.5 }));
  });

  it("refuses an operation that it does not have, and goes on", async () => {
    const worker = await localWorker();
    await failure("bad-request", worker.request(reads("no-such-operation", z.unknown()), {}));
    assert.equal((await runProgram(worker, ["true"])).exitStatus, 0);
  });

  it("refuses an argument of another type", async () => {
    const worker = await localWorker();
    const thrown = await failure("bad-request", worker.request(reads("file-read", z.unknown()), { place: { path: "relative" }, limit: 1 }));
    assert.match(thrown.message, /path must be an absolute path/);
  });

  it("reports an answer that is none as a fault of its own", async () => {
    const worker = await localWorker();
    const wrong = worker.request(reads("directory-open", z.object({ directory: z.string() })), { path: "/", private: false });
    const thrown: unknown = await wrong.catch((reason: unknown) => reason);
    assert(isKind(thrown, "bug"), String(thrown));
  });

  it("ends a request whose listener throws, and lives", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    await writeFile(path.join(folder, "from"), Buffer.alloc(2 << 20, 1));
    await writeFile(path.join(folder, "to"), "");
    const args = { from: { path: path.join(folder, "from") }, to: { path: path.join(folder, "to") } };
    const copy = worker.request(
      reads("file-copy", z.unknown()),
      { ...args, resumeBytes: 0, bytesPerSecond: 1 << 20, reflink: "never" },
      {
        onEvent: () => {
          throw new Error("the listener's own");
        },
      },
    );
    await assert.rejects(copy, /the listener's own/);
    assert.equal((await runProgram(worker, ["true"])).exitStatus, 0);
  });

  it("refuses a handle that is closed, and never gives its number again", async () => {
    const worker = await localWorker();
    const directory = await openDirectory(worker, "/");
    await directory.close();
    assert.notEqual((await openDirectory(worker, "/")).number, directory.number);
    await failure("unknown-handle", directory.list(10));
  });

  it("carries names that are no UTF-8 there and back", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    await writeFile(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xe4, 0xff, 0x41])]), "content");
    const directory = await openDirectory(worker, folder);
    const [entry] = await directory.list(10);
    assert(entry);
    assert.equal((await readFile(worker, directory.place(entry.name), { bytesAtMost: 100 })).content.toString(), "content");
  });
});

describe("the worker's end", function () {
  withWorkers(this);

  it("comes when its input ends, with its children", async () => {
    const { worker, child } = await localWorkerProcess();
    const folder = await scratch();
    const pids = path.join(folder, "pid");
    const program = runProgram(worker, ["sh", "-c", `echo $$ >'${pids}'; exec sleep 60`]);
    program.catch(() => {});
    const pid = await pidIn(worker, pids);
    await worker.close();
    await hasEnded(child);
    assert.equal(isRunning(pid), "no");
    await failure("cancelled", program);
  });

  it("comes after its silence, although its input stays open", async () => {
    const { worker, child } = await localWorkerProcess({ silenceSeconds: 0.5, wordSeconds: 3600 });
    await hasEnded(child);
    await assert.rejects(runProgram(worker, ["true"]), (thrown) => isKind(thrown, "unreachable"));
  });

  it("comes by a signal, and says so", async () => {
    const { worker, child } = await localWorkerProcess();
    child.kill("SIGTERM");
    await hasEnded(child);
    await assert.rejects(runProgram(worker, ["true"]), /ended: it was asked to end by a signal/);
  });

  it("does not come while words come and a child runs longer than the silence", async () => {
    const worker = await localWorker({ silenceSeconds: 0.5, wordSeconds: 0.1 });
    assert.equal((await runProgram(worker, sleep(1.5))).exitStatus, 0);
  });

  it("waits for a program that must not be cut", async () => {
    const { worker, child } = await localWorkerProcess();
    const folder = await scratch();
    const [begun, done] = [path.join(folder, "begun"), path.join(folder, "done")];
    runProgram(worker, ["sh", "-c", `echo $$ >'${begun}'; sleep 1; echo 1 >'${done}'`], { whenCancelled: "finish" }).catch(() => {});
    await pidIn(worker, begun);
    await worker.close();
    await hasEnded(child);
    assert.equal(spawnSync("cat", [done]).stdout.toString(), "1\n");
  });

  it("is assumed where a stopped worker answers nothing", async () => {
    const { worker, child } = await localWorkerProcess();
    child.kill("SIGSTOP");
    const change = runProgram(worker, ["true"], { deadlineSeconds: 0.1 });
    await assert.rejects(change, (thrown) => isKind(thrown, "outcome-unknown"));
    assert(worker.ended);
  });

  it("makes a change whose answer did not come unknown, and a question merely unanswered", async () => {
    const { worker, child } = await localWorkerProcess();
    const change = runProgram(worker, sleep(60));
    const question = worker.request(reads("program-run", z.unknown()), {
      words: sleep(60),
      stdin: "",
      outputBytesAtMost: 1,
      whenCancelled: "end",
    });
    const ends = Promise.allSettled([change, question]);
    await runProgram(worker, ["true"]);
    child.kill("SIGKILL");
    const kinds = (await ends).map((end) => (end.status === "rejected" && isKind(end.reason, "outcome-unknown") ? "unknown" : "other"));
    assert.deepEqual(kinds, ["unknown", "other"]);
  });

  it("keeps its locks until a program that outlives it has ended", async () => {
    const { worker, child } = await localWorkerProcess();
    const other = await localWorker();
    const folder = await scratch();
    const lock = { path: path.join(folder, "lock") };
    await acquireLock(worker, lock, { waitSeconds: 0 });
    const pids = path.join(folder, "pid");
    runProgram(worker, ["sh", "-c", `echo $$ >'${pids}'; exec sleep 2`]).catch(() => {});
    await pidIn(other, pids);
    child.kill("SIGKILL");
    await hasEnded(child);
    await failure("held", acquireLock(other, lock, { waitSeconds: 0 }));
    await acquireLock(other, lock, { waitSeconds: 20 });
  });
});

describe("a worker that cannot begin", function () {
  withWorkers(this);

  it("names the package where there is no python", async () => {
    assert.match(await whyNot(""), /here has no python3.*Install the package python3/);
  });

  it("names the version where python is too old", async () => {
    assert.match(await whyNot(`echo '{"missing":"python 3.6","found":"3.4"}'`), /here has python 3\.4; 3\.6 or newer is required/);
  });

  it("names the module where python is not whole", async () => {
    assert.match(await whyNot(`echo '{"missing":"ctypes"}'`), /no module ctypes.*python3-minimal is not enough/);
  });

  it("says what answers in its place", async () => {
    assert.match(await whyNot("echo This account is not available."), /something else answers in its place/);
  });

  it("says what python complained of", async () => {
    assert.match(await whyNot("echo out of memory >&2; exit 1"), /it ended before it began: out of memory/);
  });

  it("is not waited for longer than it was told", async () => {
    const stream = Duplex.from({ writable: new PassThrough(), readable: new PassThrough() });
    const begun = startWorker({ hostName: "here", stream, stderr: () => "" }, { startSeconds: 0.2 });
    await assert.rejects(begun, /did not begin within 0\.2 s/);
  });
});

/** What is said where this stands in python's place; where nothing does, none is found. */
async function whyNot(script: string): Promise<string> {
  const bin = path.join(await scratch(), "bin");
  await mkdir(bin);
  if (script !== "") {
    await writeFile(path.join(bin, "python3"), `#!/bin/sh\n${script}\n`);
    await chmod(path.join(bin, "python3"), 0o755);
  }
  for (const tool of ["sh", "echo"]) await symlink(`/bin/${tool}`, path.join(bin, tool));
  const { stdout, stderr } = spawnSync("/bin/sh", ["-c", startScript.replace("/usr/libexec", bin), "sh", workerProgram().boot], {
    env: { PATH: bin },
    input: "",
  });
  const readable = new PassThrough();
  readable.end(stdout);
  const stream = Duplex.from({ writable: new PassThrough(), readable });
  return startWorker({ hostName: "here", stream, stderr: () => stderr.toString() }).then(() => "it began", messageOf);
}

async function pidIn(worker: Awaited<ReturnType<typeof localWorker>>, file: string): Promise<number> {
  for (;;) {
    const found = await readFile(worker, { path: file }, { bytesAtMost: 100 }).catch(() => undefined);
    if (found !== undefined && found.content.length > 1) return Number(found.content.toString());
  }
}

function isRunning(pid: number): "yes" | "no" {
  try {
    process.kill(pid, 0);
    return "yes";
  } catch {
    return "no";
  }
}

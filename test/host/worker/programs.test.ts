import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { runProgram } from "../../../provider/host/worker/programs.js";
import { until } from "../../sandbox/command.js";
import { failure, localWorker, scratch, withWorkers } from "./harness.js";

describe("a program that the worker runs", function () {
  withWorkers(this);

  it("gets its words as they are, through no shell", async () => {
    const worker = await localWorker();
    const { stdout } = await runProgram(worker, ["printf", "%s|", "$(id)", "a b", "'ü\n", ""]);
    assert.equal(stdout.toString(), "$(id)|a b|'ü\n||");
  });

  it("tells its status and both outputs", async () => {
    const worker = await localWorker();
    const ran = await runProgram(worker, ["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert.deepEqual(
      { ...ran, stdout: ran.stdout.toString(), stderr: ran.stderr.toString() },
      { exitStatus: 7, signal: null, stdout: "out\n", stderr: "err\n" },
    );
  });

  it("tells the signal that ended it", async () => {
    const worker = await localWorker();
    const { exitStatus, signal } = await runProgram(worker, ["sh", "-c", "kill -9 $$"]);
    assert.deepEqual({ exitStatus, signal }, { exitStatus: null, signal: 9 });
  });

  it("reads what it is given, also more than a pipe holds, and answers as much", async () => {
    const worker = await localWorker();
    const stdin = Buffer.alloc(3 * 1024 * 1024, "0123456789");
    const { stdout } = await runProgram(worker, ["cat"], { stdin, outputBytesAtMost: stdin.length });
    assert(stdout.equals(stdin));
  });

  it("may leave its input unread", async () => {
    const worker = await localWorker();
    const { exitStatus } = await runProgram(worker, ["true"], { stdin: Buffer.alloc(1024 * 1024) });
    assert.equal(exitStatus, 0);
  });

  it("is ended where it says more than it may", async () => {
    const worker = await localWorker();
    await failure("too-large", runProgram(worker, ["yes"], { outputBytesAtMost: 1000 }));
  });

  it("that is not there is named", async () => {
    const worker = await localWorker();
    assert.match((await failure("no-program", runProgram(worker, ["no-such-program"]))).message, /no-such-program/);
  });

  it("is ended with all that it started, also what hears no SIGTERM", async () => {
    const worker = await localWorker();
    const file = path.join(await scratch(), "pid");
    const script = `trap '' TERM; (trap '' TERM; sh -c 'echo $PPID >"$0"' "$1"; while :; do sleep 0.1; done) & wait`;
    const stop = new AbortController();
    const program = runProgram(worker, ["sh", "-c", script, "sh", file], { signal: stop.signal });
    const read = () =>
      readFile(file, "utf8").then(
        (text) => (text.endsWith("\n") ? Number(text) : undefined),
        () => undefined,
      );
    const pid = await until(10, read, () => "It did not begin.");
    stop.abort();
    await failure("cancelled", program);
    await until(
      5,
      () => stateOf(pid),
      () => "What it started is still there.",
    );
  });

  it("does not wait for ever for what holds its output open behind it", async () => {
    const worker = await localWorker();
    const { stdout } = await runProgram(worker, ["sh", "-c", "sleep 60 & echo done"], { deadlineSeconds: 20 });
    assert.equal(stdout.toString(), "done\n");
  });

  it("may have as many files open as the worker when it was started, which takes as many as it may", async () => {
    const worker = await localWorker({ through: ["prlimit", "--nofile=300:2000"] });
    const limits = async (process: string) => {
      const { stdout } = await runProgram(worker, ["grep", "open files", `/proc/${process}/limits`]);
      return stdout.toString().match(/\d+/g);
    };
    assert.deepEqual(await limits(String(worker.hello.pid)), ["2000", "2000"]);
    const { stdout } = await runProgram(worker, ["sh", "-c", "cat; ulimit -Sn; ulimit -Hn"]);
    assert.equal(stdout.toString(), "300\n2000\n");
  });

  it("has no input where none is given, and speaks English", async () => {
    const worker = await localWorker();
    const { stdout } = await runProgram(worker, ["sh", "-c", "cat; echo $LC_ALL"]);
    assert.equal(stdout.toString(), "C\n");
  });
});

/** Undefined while it runs. */
function stateOf(pid: number): Promise<"gone" | undefined> {
  return readFile(`/proc/${pid}/stat`, "utf8").then(
    (text) => (/\) [ZX] /.test(text) ? "gone" : undefined),
    () => "gone",
  );
}

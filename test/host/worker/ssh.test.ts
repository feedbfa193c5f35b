import assert from "node:assert/strict";
import path from "node:path";
import { isKind } from "../../../provider/core/errors.js";
import { acquireLock } from "../../../provider/host/worker/locks.js";
import { runProgram } from "../../../provider/host/worker/programs.js";
import type { Worker } from "../../../provider/host/worker/worker.js";
import { until } from "../../sandbox/command.js";
import { connectHost } from "../../world.js";
import { argsFor, cut, overSsh, scratch, sshd } from "../hosts.js";

async function workerOf(...server: Parameters<typeof argsFor>): Promise<Worker> {
  return (await connectHost(argsFor(...server), {})).worker();
}

describe("the worker over SSH", function () {
  overSsh(this);

  it("works in one session, where sshd allows one", async () => {
    const server = await sshd({ settings: { MaxSessions: "1" } });
    const worker = await workerOf(server);
    await acquireLock(worker, { path: path.join(await scratch(), "lock") }, { waitSeconds: 0 });
    const { stdout } = await runProgram(worker, ["printf", "%s", "it's"]);
    assert.equal(stdout.toString(), "it's");
    await worker.close();
  });

  it("begins behind a login shell that greets", async () => {
    const server = await sshd({ settings: { ForceCommand: `echo Welcome; echo Welcome >&2; eval "$SSH_ORIGINAL_COMMAND"` } });
    const worker = await workerOf(server);
    assert.equal(worker.hello.uid, process.getuid?.());
    await worker.close();
  });

  it("runs as root where sudo is asked for", async () => {
    const server = await sshd();
    const worker = await workerOf(server, { privilege: "sudo" });
    assert.equal(worker.hello.uid, 0);
    await worker.close();
  });

  it("ends with its connection, and gives its locks back", async () => {
    const server = await sshd();
    const worker = await workerOf(server);
    const other = await workerOf(await sshd());
    const place = { path: path.join(await scratch(), "lock") };
    await acquireLock(worker, place, { waitSeconds: 0 });
    const running = runProgram(worker, ["sleep", "60"]);
    running.catch(() => {});
    await cut(server);
    await assert.rejects(running, (thrown) => isKind(thrown, "outcome-unknown"));
    await until(
      10,
      () => worker.ended,
      () => "It has not ended.",
    );
    await acquireLock(other, place, { waitSeconds: 20 });
    await other.close();
  });
});

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { isKind } from "../../provider/core/errors.js";
import type { Host } from "../../provider/host/host.js";
import { copyLayer } from "../../provider/storage/directory/copy.js";
import { layerStates } from "../../provider/storage/directory/sidecar.js";
import { assertSameBytes, copyOptions, MIB, namesIn, scratch, sparseFile, undoAll, undoLater } from "./files.js";
import { host, hostArgsText, overSsh } from "./ssh-host.js";

const USER = "aaaaaaaa";

/** A copy that stops by itself once so many bytes are done. */
async function copyUntil(host: Host, from: string, to: string, bytes: number): Promise<Error> {
  const stop = new AbortController();
  const options = copyOptions(from, to, {
    stop: stop.signal,
    // so that one step is half of it
    maxBytesPerSecond: () => bytes * 2,
    progress: (done) => done >= bytes && stop.abort(),
  });
  const error = await copyLayer(host, options).then(
    () => undefined,
    (thrown: Error) => thrown,
  );
  assert(error !== undefined, "the copy ended before it was stopped");
  return error;
}

/** Copies to the end; answers with what was done before its first byte. */
async function copyOn(host: Host, from: string, to: string): Promise<number> {
  const seen: number[] = [];
  assert.equal(await copyLayer(host, copyOptions(from, to, { progress: (done) => seen.push(done) })), "copied");
  assertSameBytes(from, to);
  return seen[0] ?? Number.NaN;
}

describe("a copy that is cut", () => {
  overSsh();
  afterEach(undoAll);

  it("stops between two steps in words, and goes on from there", async function () {
    const { source, destination } = await scratch(this);
    const [from, to] = [join(source, "a"), join(destination, "a")];
    await sparseFile(from, 200 * MIB, [{ at: 0, bytes: 200 * MIB }]);
    const stopped = await copyUntil(host, from, to, 90 * MIB);
    assert(isKind(stopped, "user"));
    assert.match(stopped.message, /stopped after [\d.]+ \w+ of 200 MiB/);
    const [state] = await layerStates(host, [to], USER);
    assert(state?.state === "partial" && state.doneBytes >= 90 * MIB && state.totalBytes === 200 * MIB, JSON.stringify(state));
    assert.equal(await copyOn(host, from, to), state.doneBytes);
    assert.deepEqual(namesIn(destination), ["a", "a.lm-layer"]);
  });

  it("goes on after its worker was killed in the middle", async function () {
    const { source, destination } = await scratch(this);
    const [from, to] = [join(source, "a"), join(destination, "a")];
    await sparseFile(from, 100 * MIB, [{ at: 0, bytes: 100 * MIB }]);
    await copyUntil(host, from, to, 30 * MIB);
    const { pid } = (await host.worker()).hello;
    const progress = (done: number) => done >= 60 * MIB && process.kill(pid, "SIGKILL");
    const copy = copyLayer(host, copyOptions(from, to, { maxBytesPerSecond: () => 40 * MIB, progress }));
    await assert.rejects(copy, (thrown) => isKind(thrown, "unreachable"));
    assert((await copyOn(host, from, to)) >= 30 * MIB);
    assert.deepEqual(namesIn(destination), ["a", "a.lm-layer"]);
  });

  it("goes on after its client was killed, once the worker has let go", async function () {
    const { source, destination } = await scratch(this);
    const [from, to] = [join(source, "a"), join(destination, "a")];
    await sparseFile(from, 96 * MIB, [{ at: 0, bytes: 96 * MIB }]);
    const client = spawn(process.execPath, [join(__dirname, "copying-client.js"), hostArgsText(), from, to, String(16 * MIB), USER], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    undoLater(this, () => void client.kill("SIGKILL"));
    for await (const line of createInterface({ input: client.stdout })) {
      if (Number(line) >= 60 * MIB) break;
    }
    client.kill("SIGKILL");
    await once(client, "exit");
    // recorded every two seconds, so at 16 MiB/s at least some 32 MiB are
    assert((await copyOn(host, from, to)) >= 16 * MIB);
    assert.deepEqual(namesIn(destination), ["a", "a.lm-layer"]);
  });

  it("waits for a run of 0.1.0, or for what outlives its client, and names it when it hangs", async function () {
    const { source, destination } = await scratch(this);
    const [from, to] = [join(source, "a"), join(destination, "a")];
    await sparseFile(from, 8 * MIB, [{ at: 0, bytes: 8 * MIB }]);
    await copyUntil(host, from, to, 2 * MIB);
    const holder = spawn("sh", ["-c", 'exec 9<"$1"; flock 9; echo locked; exec sleep 60', "sh", `${to}.lm-layer`], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    undoLater(this, () => void holder.kill());
    await once(holder.stdout, "data");
    const heard: string[] = [];
    const waiting = (text: string) => heard.push(text);
    await assert.rejects(copyLayer(host, copyOptions(from, to, { waiting, stallSeconds: 1 })), (thrown: Error) => {
      return isKind(thrown, "user") && thrown.message.includes(`process ${holder.pid} has its lock`);
    });
    assert.match(heard[0] ?? "", /another move, \d+ % done/);
    const going = copyOn(host, from, to);
    await pause(50);
    holder.kill();
    assert((await going) >= 2 * MIB);
  });

  it("starts anew when its partial was taken away, and when it was never made", async function () {
    const { source, destination } = await scratch(this);
    const [from, to] = [join(source, "a"), join(destination, "a")];
    await sparseFile(from, 20 * MIB, [{ at: 0, bytes: 20 * MIB }]);
    await copyUntil(host, from, to, 5 * MIB);
    const partial = namesIn(destination).find((name) => name.includes(".lm-partial-"));
    rmSync(join(destination, partial ?? ""));
    assert.equal(await copyOn(host, from, to), 0);
    assert.deepEqual(namesIn(destination), ["a", "a.lm-layer"]);
  });
});

describe("a destination that is full", () => {
  overSsh();
  afterEach(undoAll);

  it("ends the copy in words with what is missing, and is gone on with when there is room", async function () {
    if (process.getuid?.() !== 0) {
      console.log("      skipped: only root can mount the small file system that this needs");
      return this.skip();
    }
    const { source, root } = await scratch(this);
    const small = join(root, "small");
    mkdirSync(small);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=48M", "tmpfs", small]);
    undoLater(this, () => void execFileSync("umount", [small]));
    const [from, to, ballast] = [join(source, "a"), join(small, "a"), join(small, "ballast")];
    await sparseFile(from, 40 * MIB, [{ at: 0, bytes: 40 * MIB }]);
    execFileSync("fallocate", ["-l", "24M", ballast]);
    await assert.rejects(copyLayer(host, copyOptions(from, to, { maxBytesPerSecond: () => 64 * MIB })), (thrown: Error) => {
      assert(isKind(thrown, "user"));
      assert.match(
        thrown.message,
        /No space left on device\. [\d.]+ \w+ are still to be copied and [\d.]+ \w+ are free: free at least 1[678](\.\d)? MiB/,
      );
      return true;
    });
    assert(!existsSync(to));
    rmSync(ballast);
    assert((await copyOn(host, from, to)) >= 8 * MIB);
    assert.deepEqual(namesIn(small), ["a", "a.lm-layer"]);
  });
});

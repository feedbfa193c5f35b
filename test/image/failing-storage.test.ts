import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { isKind } from "../../provider/core/errors.js";
import type { Host } from "../../provider/host/host.js";
import type { Worker } from "../../provider/host/worker/worker.js";
import { WorkerError } from "../../provider/host/worker/worker-error.js";
import { type CopyOptions, copyLayer } from "../../provider/storage/directory/copy.js";
import { layerStates } from "../../provider/storage/directory/sidecar.js";
import { localWorker, withWorkers } from "../host/worker/harness.js";
import { mountSmall } from "../sandbox/file-systems.js";
import { assertSameBytes, copyOptions, MIB, namesIn, scratch, sparseFile, undoAll, undoLater } from "./files.js";
import { host, overSsh } from "./ssh-host.js";

describe("a copy whose storage loses what it was given", function () {
  withWorkers(this);
  overSsh();
  afterEach(undoAll);

  it("is made again from the last sync that worked: the kernel tells of lost pages only once", async function () {
    this.timeout(180_000);
    const { source, destination } = await scratch(this);
    const [from, to] = [join(source, "a"), join(destination, "a")];
    await sparseFile(from, 96 * MIB, [{ at: 0, bytes: 96 * MIB }]);
    const partial = await stoppedPartial(from, to);
    const [before] = await layerStates(host, [to], "aaaaaaaa");
    assert(before?.state === "partial" && before.doneBytes >= 16 * MIB);
    await assert.rejects(
      copyLayer(losingSyncs(partial, "1"), copyOptions(from, to)),
      (thrown: Error) => isKind(thrown, "user") && /Input\/output error/.test(thrown.message),
    );
    // the pages were clean, and are gone
    execFileSync("sh", ["-c", 'truncate -s "$2" "$1" && truncate -s "$3" "$1"', "sh", partial, `${before.doneBytes}`, `${96 * MIB}`]);
    const [after] = await layerStates(host, [to], "aaaaaaaa");
    assert(after?.state === "partial" && after.doneBytes === before.doneBytes && !existsSync(to));
    assert.equal(await copyLayer(host, copyOptions(from, to)), "copied");
    assertSameBytes(from, to);
    assert.deepEqual(namesIn(destination), ["a", "a.lm-layer"]);
  });

  it("is no copy where what qemu-img wrote to its header is lost: the partial was open before, and is told", async function () {
    const { source, destination } = await scratch(this);
    const [from, to] = [join(source, "a"), join(destination, "a")];
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", from, "1M"]);
    const options = copyOptions(from, to, { rewriteBacking: { name: "base", format: "raw" } });
    const worker = await host.worker();
    const asked: string[] = [];
    const losing: Host = { ...host, name: host.name, worker: async () => refusing(worker, asked) };
    await assert.rejects(
      copyLayer(losing, options),
      (thrown: Error) => isKind(thrown, "user") && /: Input\/output error\. Run/.test(thrown.message),
    );
    const order = ["file-open", "file-copy", "program-run", "file-sync"].map((name) => asked.indexOf(name));
    assert.deepEqual([order, order.includes(-1)], [order.toSorted((a, b) => a - b), false]);
    assert(!existsSync(to));
    assert.equal(await copyLayer(host, options), "copied");
    assert.match(execFileSync("qemu-img", ["info", to], { encoding: "utf8" }), /^backing file: base /m);
  });

  it("is not given its name if its partial is another file by then", async function () {
    const { source, destination } = await scratch(this);
    const [from, to] = [join(source, "a"), join(destination, "a")];
    await sparseFile(from, 8 * MIB, [{ at: 0, bytes: 8 * MIB }]);
    const replaced = copyLayer(
      host,
      copyOptions(from, to, {
        progress: (done, total) => {
          const partial = namesIn(destination).find((name) => name.includes(".lm-partial-"));
          if (done === total && partial) execFileSync("sh", ["-c", 'cp "$1" "$1.x" && mv "$1.x" "$1"', "sh", join(destination, partial)]);
        },
      }),
    );
    await assert.rejects(
      replaced,
      (thrown: Error) => isKind(thrown, "user") && /its partial was taken away or replaced/.test(thrown.message),
    );
    assert(!existsSync(to));
    assert.equal(await copyLayer(host, copyOptions(from, to)), "copied");
    assertSameBytes(from, to);
  });
});

describe("a layer on a storage that turned read-only", () => {
  overSsh();
  afterEach(undoAll);

  it("is refused at once, by the reason, and waits for no holder of its lock", async function () {
    if (process.getuid?.() !== 0) this.skip(); // only root can mount
    const { source, root } = await scratch(this);
    const storage = await mountSmall({ defer: (undo) => undoLater(this, async () => void (await undo())) }, join(root, "small"), {
      ...{ kind: "ext4", sizeMiB: 64 },
    });
    const [from, to] = [join(source, "a"), join(storage.place, "a")];
    await sparseFile(from, 8 * MIB, [{ at: 0, bytes: 8 * MIB }]);
    assert.equal(await copyLayer(host, copyOptions(from, to)), "copied");
    await storage.turnReadOnly();
    await assert.rejects(
      copyLayer(host, copyOptions(from, to)),
      (thrown: Error) => isKind(thrown, "user") && /it cannot be opened \(Read-only file system\); mend that/.test(thrown.message),
    );
  });
});

/** A copy that was stopped past 16 MiB: its partial. */
async function stoppedPartial(from: string, to: string, more: Partial<CopyOptions> = {}): Promise<string> {
  const stop = new AbortController();
  const progress = (done: number) => done >= 16 * MIB && stop.abort();
  const paced = { maxBytesPerSecond: () => 32 * MIB, progress, stop: stop.signal };
  await assert.rejects(copyLayer(host, copyOptions(from, to, { ...paced, ...more })), /it was stopped after/);
  const folder = dirname(to);
  return join(folder, namesIn(folder).find((name) => name.includes(".lm-partial-")) ?? assert.fail("there is no partial"));
}

/** The host, with a worker whose sync of this file fails at these times, as strace counts them. */
function losingSyncs(file: string, when: string): Host {
  const through = ["strace", "-f", "-o", "/dev/null", "-P", file, "-e", "trace=fsync", "-e", `inject=fsync:error=EIO:when=${when}`];
  return { ...host, name: host.name, worker: () => localWorker({ through }) };
}

/** The worker, which says that a held file could not be synced, and tells what it was asked. */
function refusing(worker: Worker, asked: string[]): Worker {
  const lost = { name: "system", errno: 5, message: "Input/output error", path: null, details: {} } as const;
  const request: Worker["request"] = (operation, args, options) => {
    asked.push(operation.name);
    return operation.name === "file-sync" ? Promise.reject(new WorkerError("file-sync", lost)) : worker.request(operation, args, options);
  };
  return new Proxy(worker, { get: (it, key) => (key === "request" ? request : Reflect.get(it, key, it)) });
}

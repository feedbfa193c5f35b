import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, rename } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { type MonitorEnding, type MonitorEvent, openMonitor, type WorkerMonitor } from "../../../provider/host/worker/monitors.js";
import type { Worker } from "../../../provider/host/worker/worker.js";
import { until } from "../../sandbox/command.js";
import { mourn, watchOver } from "../../sandbox/processes.js";
import { type Command, fakeMonitor } from "./fake-monitor.js";
import { failure, localWorker, refusedWith, scratch, undoLater, withWorkers } from "./harness.js";

interface Heard {
  monitor: WorkerMonitor;
  events: MonitorEvent[];
  closed: MonitorEnding[];
}

async function opened(worker: Worker, socket: string): Promise<Heard> {
  const [events, closed]: [MonitorEvent[], MonitorEnding[]] = [[], []];
  const listener = { event: (one: MonitorEvent) => void events.push(one), closed: (ending: MonitorEnding) => void closed.push(ending) };
  return { monitor: await openMonitor(worker, { path: socket }, listener), events, closed };
}

const silent = { event: () => {}, closed: () => {} };

describe("a monitor through the worker", function () {
  withWorkers(this);

  it("answers each command by its id, whatever the order of the answers", async () => {
    const worker = await localWorker();
    const waiting: (() => void)[] = [];
    const fake = await fakeMonitor(({ id, execute }, say) => {
      waiting.push(() => say({ return: { to: execute }, id }));
      if (waiting.length === 3) for (const answer of waiting.reverse()) answer();
    });
    const { monitor } = await opened(worker, fake.path);
    const returned = await Promise.all(["one", "two", "three"].map((command) => monitor.execute(command)));
    assert.deepEqual(returned, [{ to: "one" }, { to: "two" }, { to: "three" }]);
  });

  it("passes arguments and answers through as they are", async () => {
    const worker = await localWorker();
    const fake = await fakeMonitor((command, say) => say({ return: command.arguments, id: command.id }));
    const { monitor } = await opened(worker, fake.path);
    const args = { name: "ü\u0001", deep: [{ size: 9_007_199_254_740_991 }], no: null };
    assert.deepEqual(await monitor.execute("echo", args), args);
  });

  it("hears no answer to another client's command", async () => {
    const worker = await localWorker();
    const fake = await fakeMonitor(({ id }, say) => {
      say({ return: "a former client's", id: "1" });
      say({ return: "without an id" });
      say({ return: "ours", id });
    });
    const { monitor } = await opened(worker, fake.path);
    assert.equal(await monitor.execute("query"), "ours");
  });

  it("tells events in their order", async () => {
    const worker = await localWorker();
    const fake = await fakeMonitor(({ id }, say) => {
      say({ event: "JOB_STATUS_CHANGE", data: { id: "job", status: "ready" }, timestamp: {} });
      say({ return: {}, id });
    });
    const { monitor, events } = await opened(worker, fake.path);
    fake.say({ event: "STOP" });
    await monitor.execute("query-jobs");
    assert.deepEqual(
      events.map(({ event, data }) => [event, data]),
      [
        ["STOP", {}],
        ["JOB_STATUS_CHANGE", { id: "job", status: "ready" }],
      ],
    );
  });

  it("tells an event that comes before it is ready for commands", async () => {
    const worker = await localWorker();
    const fake = await fakeMonitor();
    fake.early.push({ event: "RESUME" });
    const { events } = await opened(worker, fake.path);
    await until(
      5,
      () => events[0],
      () => "It was not told.",
    );
    assert.deepEqual(
      events.map(({ event }) => event),
      ["RESUME"],
    );
  });

  it("names a refusal by QEMU's class", async () => {
    const worker = await localWorker();
    const fake = await fakeMonitor(({ id }, say) => say({ error: { class: "DeviceNotFound", desc: "no such job" }, id }));
    const { monitor } = await opened(worker, fake.path);
    const { details } = await failure("qmp", monitor.execute("job-cancel"));
    assert.deepEqual(details, { class: "DeviceNotFound", command: "job-cancel", words: "no such job" });
  });

  it("that another client has is busy", async () => {
    const worker = await localWorker();
    const file = path.join(await scratch(), "qmp.sock");
    const server = createServer(() => {}).listen(file);
    undoLater(() => server.close());
    await failure("busy", openMonitor(worker, { path: file }, silent));
    await worker.close();
  });

  it("that is not there is refused with its errno", async () => {
    const worker = await localWorker();
    await refusedWith(2, openMonitor(worker, { path: path.join(await scratch(), "none") }, silent));
  });

  it("is reached by a path that is too long for an address", async () => {
    const worker = await localWorker();
    const folder = await scratch();
    const long = path.join(folder, "d".repeat(100), "e".repeat(100));
    const fake = await fakeMonitor(undefined, folder);
    await mkdir(long, { recursive: true });
    await rename(fake.path, path.join(long, "qmp.sock"));
    const { monitor } = await opened(worker, path.join(long, "qmp.sock"));
    assert.deepEqual(await monitor.execute("query-status"), {});
  });

  it("that ends tells whether its process still runs, to who waits and to who listens", async () => {
    const worker = await localWorker();
    const fake = await fakeMonitor(() => fake.hangUp());
    const { monitor, closed } = await opened(worker, fake.path);
    const { details } = await failure("monitor-closed", monitor.execute("quit"));
    assert.deepEqual([details.pid, details.isAlive], [process.pid, true]);
    await until(
      5,
      () => closed[0],
      () => "It was not told.",
    );
    assert.deepEqual(closed, [{ ...monitor.peer, why: "ended", said: "" }]);
    await failure("monitor-closed", monitor.execute("query-status"));
  });

  it("stops waiting for a command that is cancelled, and serves the next one", async () => {
    const worker = await localWorker();
    const held: Command[] = [];
    const fake = await fakeMonitor((command, say) =>
      command.execute === "slow" ? held.push(command) : say({ return: {}, id: command.id }),
    );
    const { monitor } = await opened(worker, fake.path);
    await failure("cancelled", monitor.execute("slow", {}, { signal: AbortSignal.timeout(200) }));
    fake.say({ return: "late", id: held[0]?.id });
    assert.deepEqual(await monitor.execute("quick"), {});
  });

  it("is one of several at a time", async () => {
    const worker = await localWorker();
    const fakes = await Promise.all([1, 2, 3].map((number) => fakeMonitor(({ id }, say) => say({ return: number, id }))));
    const monitors = await Promise.all(fakes.map((fake) => opened(worker, fake.path)));
    assert.deepEqual(await Promise.all(monitors.map(({ monitor }) => monitor.execute("which"))), [1, 2, 3]);
  });

  it("loses its connection when it is closed, and when the worker ends", async () => {
    const worker = await localWorker();
    const [one, two] = [await fakeMonitor(), await fakeMonitor()];
    const { monitor } = await opened(worker, one.path);
    await opened(worker, two.path);
    await monitor.close();
    await until(
      5,
      () => one.clients[0]?.readableEnded || undefined,
      () => "It is still connected.",
    );
    assert.equal(two.clients[0]?.readableEnded, false);
    await worker.close();
    await until(
      5,
      () => two.clients[0]?.readableEnded || undefined,
      () => "It is still connected.",
    );
  });

  it("bears an answer of megabytes", async () => {
    const worker = await localWorker();
    const text = "x".repeat(8 * 1024 * 1024);
    const fake = await fakeMonitor(({ id }, say) => say({ return: text, id }));
    const { monitor } = await opened(worker, fake.path);
    assert.equal(await monitor.execute("query-named-block-nodes"), text);
  });
});

describe("a real QEMU's monitor through the worker", function () {
  withWorkers(this);

  it("answers, tells events, and is known to have died when it has", async () => {
    const worker = await localWorker();
    const socket = path.join(await scratch(), "qmp.sock");
    const words = ["-M", "none", "-S", "-display", "none", "-nodefaults", "-qmp", `unix:${socket},server=on,wait=off`];
    const qemu = watchOver(spawn("qemu-system-x86_64", words, { stdio: "ignore" }), "a QEMU");
    undoLater(() => mourn(qemu, "SIGKILL"));
    const open = () => opened(worker, socket).catch(() => undefined);
    const { monitor, events, closed } = await until(20, open, () => "QEMU did not begin.");
    assert.deepEqual([monitor.peer.pid, monitor.peer.isAlive], [qemu.pid, true]);
    const status = (await monitor.query("query-status")) as { status: string };
    assert.equal(status.status, "prelaunch");
    await failure("busy", openMonitor(worker, { path: socket }, silent));
    await monitor.execute("cont");
    await until(
      5,
      () => events.find(({ event }) => event === "RESUME"),
      () => "No event came.",
    );
    qemu.kill("SIGKILL");
    await until(
      5,
      () => closed[0],
      () => "Its end was not told.",
    );
    const dead = async () =>
      (await failure("monitor-closed", monitor.execute("query-status"))).details.isAlive === false ? "dead" : undefined;
    await until(5, dead, () => "It is taken for alive.");
  });
});

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { isKind } from "../../../provider/core/errors.js";
import { MonitorBusy } from "../../../provider/hypervisor/hypervisor.js";
import { type Patience, QmpSession } from "../../../provider/hypervisor/qemu/client.js";
import { QmpRefusal } from "../../../provider/hypervisor/qemu/refusal.js";
import { LocalHost } from "./local-host.js";
import { type Command, greeting, ScriptedMonitor } from "./scripted-monitor.js";

const status = z.object({ status: z.string() });
const anything = z.unknown();

async function openTo(monitor: ScriptedMonitor, patience?: Patience): Promise<QmpSession> {
  return QmpSession.open({ worker: await new LocalHost().worker(), socket: monitor.socket, name: "qmp.sock on here" }, patience);
}

describe("opening a QMP session", () => {
  it("gives up on a monitor that does not greet, and says how to find who holds it", async () => {
    await using monitor = await ScriptedMonitor.start(() => undefined, "");
    await assert.rejects(openTo(monitor, { greetingSeconds: 0.05 }), (error) => {
      assert.ok(error instanceof MonitorBusy && isKind(error, "unreachable"));
      assert.match(error.message, /no greeting came within 0\.05 s.*runner that vanished.*ss -xp \| grep/);
      return true;
    });
  });

  for (const [what, words] of Object.entries({
    "a human monitor": "QEMU 7.2.22 monitor - type 'help' for more information\r\n(qemu) \r\n",
    "another JSON service": '{"hello": 1}\n',
  })) {
    it(`refuses ${what}`, async () => {
      await using monitor = await ScriptedMonitor.start(() => undefined, words);
      await assert.rejects(openTo(monitor), (error) => isKind(error, "user") && /this is no QMP monitor/.test(error.message));
    });
  }

  it("passes by what a former client is still told before the greeting", async () => {
    const former = '{"return": {}, "id": 3}\n{"event": "STOP"}\n{"error": {"class": "GenericError", "desc": "no"}, "id": 4}\n';
    await using monitor = await ScriptedMonitor.start(() => ({ return: { status: "running" } }), former + greeting);
    const session = await openTo(monitor);
    assert.deepEqual(await session.call("query-status", status), { status: "running" });
    session.close();
  });

  it("reads what is spread over lines", async () => {
    const pretty = (message: object) => `${JSON.stringify(message, null, 4)}\r\n`.replaceAll("\n", "\r\n");
    const script = ({ id }: Command) => pretty({ return: { status: "running" }, id });
    await using monitor = await ScriptedMonitor.start(script, pretty({ QMP: { version: {}, capabilities: [] } }));
    const session = await openTo(monitor);
    assert.deepEqual(await session.call("query-status", status), { status: "running" });
    session.close();
  });

  it("is unreachable when the stream ends first", async () => {
    await using monitor = await ScriptedMonitor.start(() => undefined, "");
    const opening = openTo(monitor, { greetingSeconds: 30 });
    await monitor.hangUp();
    await assert.rejects(opening, (error) => isKind(error, "unreachable") && !(error instanceof MonitorBusy));
  });

  it("bears a greeting that comes byte by byte", async () => {
    await using monitor = await ScriptedMonitor.start(async ({ id }, socket) => {
      for (const byte of Buffer.from(`{"return": {"status": "läuft 😀"}, "id": "${id}"}\r\n`)) {
        socket.write(Buffer.of(byte));
        await pause(1);
      }
      return undefined;
    });
    const session = await openTo(monitor);
    assert.deepEqual(await session.call("query-status", status), { status: "läuft 😀" });
    session.close();
  });
});

describe("a QMP session", () => {
  it("matches answers by id, whatever their order, and passes events by", async () => {
    const held: string[] = [];
    await using monitor = await ScriptedMonitor.start(({ id }) => {
      held.unshift(id);
      if (held.length < 3) return '{"event": "JOB_STATUS_CHANGE", "data": {}, "timestamp": {"seconds": 1, "microseconds": 2}}\r\n';
      return held.map((each) => `${JSON.stringify({ return: { status: `${each}` }, id: each })}\n`).join("");
    });
    const session = await openTo(monitor);
    let events = 0;
    session.listen(() => events++);
    const answers = await Promise.all([1, 2, 3].map(() => session.call("query-status", status)));
    assert.equal(new Set(answers.map((answer) => answer.status)).size, 3);
    assert.equal(events, 2);
    session.close();
  });

  it("makes a refusal tell the command, QEMU's class and its words", async () => {
    await using monitor = await ScriptedMonitor.start(() => ({ error: { class: "DeviceNotFound", desc: "no “such” thing" } }));
    const session = await openTo(monitor);
    await assert.rejects(session.call("job-cancel", anything, { id: "j" }), (error) => {
      assert.ok(error instanceof QmpRefusal && isKind(error, "user"));
      assert.deepEqual([error.command, error.qmpClass, error.words], ["job-cancel", "DeviceNotFound", "no “such” thing"]);
      assert.match(error.message, /job-cancel at qmp\.sock on here.*\{"id":"j"\}/);
      return true;
    });
    assert.ok(session.usable);
    session.close();
  });

  it("calls an answer of the wrong shape a fault of ours, in words", async () => {
    await using monitor = await ScriptedMonitor.start(() => ({ return: { status: 7 } }));
    const session = await openTo(monitor);
    await assert.rejects(
      session.call("query-status", status),
      (error) => isKind(error, "bug") && /query-status.*status/.test(error.message),
    );
    session.close();
  });

  it("cut in the middle does not know what a command came to, but knows that a question changed nothing", async () => {
    await using monitor = await ScriptedMonitor.start(({ execute }, socket) => {
      if (execute === "job-finalize") socket.end('{"ret');
      return undefined;
    });
    const session = await openTo(monitor);
    const ends = await Promise.allSettled([session.call("query-status", status), session.call("job-finalize", anything, { id: "j" })]);
    const kinds = ends.map((end) => end.status === "rejected" && end.reason.kind);
    assert.deepEqual(kinds, ["unreachable", "outcome-unknown"]);
    assert.match(ends[1]?.status === "rejected" ? ends[1].reason.message : "", /job-finalize \{"id":"j"\}/);
    await assert.rejects(session.call("job-finalize", anything, { id: "j" }), (error) => isKind(error, "outcome-unknown"));
    assert.equal(session.usable, false);
  });

  it("ends with a command that is not answered in time", async () => {
    await using monitor = await ScriptedMonitor.start(() => undefined);
    const session = await openTo(monitor, { answerSeconds: 0.05 });
    await assert.rejects(
      session.call("blockdev-add", anything),
      (error) => isKind(error, "outcome-unknown") && /within 0\.05 s/.test(error.message),
    );
    assert.equal(session.usable, false);
  });

  it("ends with a message of 100 MiB, and does not keep it", async () => {
    await using monitor = await ScriptedMonitor.start(() => Buffer.alloc(100 * 1024 * 1024, 0x20));
    const session = await openTo(monitor);
    await assert.rejects(
      session.call("query-block", anything),
      (error) => isKind(error, "unreachable") && /more than 64 MiB/.test(error.message),
    );
  });

  it("ends with what is not JSON", async () => {
    await using monitor = await ScriptedMonitor.start(() => "oops\n");
    const session = await openTo(monitor);
    await assert.rejects(session.call("query-block", anything), (error) => isKind(error, "unreachable") && /"oops"/.test(error.message));
  });
});

/** A peer at the monitor's socket that is no QEMU, or one gone wrong: every call ends in a sentence, soon, and keeps little. */

import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { isKind, isOurs } from "../../../provider/core/errors.js";
import { QmpSession } from "../../../provider/hypervisor/qemu/client.js";
import { drives, nodes } from "../../../provider/hypervisor/qemu/replies.js";
import { LocalHost } from "./local-host.js";
import { greeting, ScriptedMonitor } from "./scripted-monitor.js";

const gib = 2 ** 30;

/** Writes as much as its client takes, up to 1 GiB. */
async function pour(socket: Socket, chunk: Buffer): Promise<number> {
  socket.setMaxListeners(0);
  let sent = 0;
  while (sent < gib && !socket.destroyed) {
    sent += chunk.length;
    if (!socket.write(chunk)) await Promise.race([once(socket, "drain"), once(socket, "close")]).catch(() => socket.destroy());
  }
  return sent;
}

async function openTo(monitor: ScriptedMonitor, patience = {}): Promise<QmpSession> {
  return QmpSession.open({ worker: await new LocalHost().worker(), socket: monitor.socket, name: "qmp.sock on here" }, patience);
}

describe("a peer of QMP", function () {
  this.timeout(180_000);

  for (const [what, chunk] of [
    ["blanks", Buffer.alloc(2 ** 20, 0x20)],
    ["noughts", Buffer.alloc(2 ** 20)],
    ["an object that never closes", Buffer.from("{\n".padEnd(2 ** 20, '"a": "b",\n'))],
  ] as const) {
    it(`that sends 1 GiB of ${what} is left in the middle`, async () => {
      let sent = Number.NaN;
      let poured: Promise<unknown> | undefined;
      await using monitor = await ScriptedMonitor.start((_, socket) => {
        poured = pour(socket, chunk).then((bytes) => (sent = bytes));
        return undefined;
      });
      const session = await openTo(monitor);
      const held = process.memoryUsage().rss;
      await assert.rejects(
        session.call("query-block", drives),
        (thrown) => isKind(thrown, "unreachable") && /more than 64 MiB/.test(String(thrown)),
      );
      assert(process.memoryUsage().rss - held < 400 * 2 ** 20, "memory grew by more than 400 MiB");
      await poured;
      assert(sent < 256 * 2 ** 20, `${sent} bytes were taken`);
    });
  }

  it("that greets with 1 GiB is left in the middle", async () => {
    await using monitor = await ScriptedMonitor.start(() => undefined, " ".repeat(100 * 2 ** 20));
    await assert.rejects(openTo(monitor, { greetingSeconds: 30 }), (thrown) => isOurs(thrown) && /more than 64 MiB/.test(String(thrown)));
  });

  it("that sends events without end, and no answer, is given up at the deadline", async () => {
    const events = Buffer.from('{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}\r\n'.repeat(1000));
    await using monitor = await ScriptedMonitor.start((_, socket) => {
      const timer = setInterval(() => (socket.destroyed ? clearInterval(timer) : socket.write(events)), 5);
      return undefined;
    });
    const session = await openTo(monitor, { answerSeconds: 0.5 });
    await assert.rejects(
      session.call("query-block", drives),
      (thrown) => isKind(thrown, "unreachable") && /within 0\.5 s/.test(String(thrown)),
    );
  });

  it("that accepts and says nothing is given up at the deadline, before the greeting and after", async () => {
    await using silent = await ScriptedMonitor.start(() => undefined, "");
    await assert.rejects(openTo(silent, { greetingSeconds: 0.2 }), (thrown) => isKind(thrown, "unreachable"));
    await using deaf = await ScriptedMonitor.start(() => undefined, greeting);
    const session = await openTo(deaf, { answerSeconds: 0.2 });
    await assert.rejects(session.call("query-block", drives), (thrown) => isKind(thrown, "unreachable"));
  });

  it("that answers with a chain of a hundred thousand layers is a fault in words, and no crash", async () => {
    const link = '{"filename":"a","format":"qcow2","virtual-size":1,"backing-image":';
    const image = `${link.repeat(100_000)}{"filename":"a","format":"raw","virtual-size":1}${"}".repeat(100_000)}`;
    const node = `{"file":"a","node-name":"n","drv":"qcow2","ro":false,"encrypted":false,"detect_zeroes":"off","cache":{"direct":false,"no-flush":false},"image":${image}}`;
    await using monitor = await ScriptedMonitor.start(({ id }) => `{"id":"${id}","return":[${node}]}\r\n`);
    const session = await openTo(monitor);
    await assert.rejects(
      session.call("query-named-block-nodes", nodes),
      (thrown) => isOurs(thrown) && /query-named-block-nodes/.test(String(thrown)),
    );
    session.close();
  });

  it("that answers what was never asked, or twice, disturbs nobody", async () => {
    await using monitor = await ScriptedMonitor.start(
      ({ id }) => `{"id":999,"return":{}}\n{"id":"${id}","return":[]}\n{"id":"${id}","return":[{}]}\n`,
    );
    const session = await openTo(monitor);
    assert.deepEqual(await session.call("query-block", drives), []);
    assert.deepEqual(await session.call("query-block", drives), []);
    session.close();
  });
});

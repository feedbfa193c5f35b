/** The way to the guest: host, account, key, monitor. Whatever is wrong there is said in a sentence, with nothing touched. */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { closeAllHosts } from "../../provider/host/connection.js";
import { ScriptedMonitor } from "../hypervisor/qemu/scripted-monitor.js";
import { run } from "../sandbox/command.js";
import { Operator } from "../sandbox/operator.js";
import { onStage, Recorder } from "./stage.js";

async function closedPort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A run that is asked to stop as soon as it says that it waits. */
class StoppedWhenItWaits extends Recorder {
  override progress(text: string): void {
    super.progress(text);
    if (text.startsWith("waits ")) this.ask();
  }
}

describe("a move whose guest cannot be reached", function () {
  this.timeout(180_000);
  const stage = onStage();
  const agent = process.env.SSH_AUTH_SOCK;
  before(() => void delete process.env.SSH_AUTH_SOCK);
  after(() => void (agent !== undefined && Object.assign(process.env, { SSH_AUTH_SOCK: agent })));
  beforeEach(() => closeAllHosts());

  it("says that nothing listens at the host's port", async () => {
    const port = await closedPort();
    const message = await stage().refuses({ host: { ...stage().sandbox.host, port } });
    assert.match(message, new RegExp(`Unable to reach 127.0.0.1:${port}: nothing listens there .*Check \`host.address\`, \`host.port\``));
  });

  it("says that the account's key is refused", async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), "livedisk-key-"));
    try {
      await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", path.join(folder, "stranger")]);
      const message = await stage().refuses({ host: { ...stage().sandbox.host, identityFile: path.join(folder, "stranger") } });
      assert.match(message, /Unable to sign in to .*@127.0.0.1:\d+: it refused .*stranger.*Check `host.user`.*authorized_keys/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("says that there is no such key file", async () => {
    const message = await stage().refuses({ host: { ...stage().sandbox.host, identityFile: "/nowhere/id" } });
    assert.match(message, /\/nowhere\/id/);
  });

  it("says that the host shows another key than the one given", async () => {
    const hostKey = `SHA256:${"A".repeat(43)}`;
    const message = await stage().refuses({ host: { ...stage().sandbox.host, hostKey } });
    assert.match(message, /Unable to .*127.0.0.1.*key/);
    assert(message.includes(hostKey) && message.includes(stage().sandbox.host.hostKey), "both fingerprints");
  });

  it("says that there is no socket", async () => {
    const message = await stage().refuses({ domain: { qmp: stage().at("qpm.sock") } });
    assert.match(message, /qpm\.sock on 127.0.0.1:\d+: there is no such socket\. Start the guest, or correct `domain.qmp`/);
  });

  it("says that the path is no socket", async () => {
    const message = await stage().refuses({ domain: { qmp: stage().at("vmlinux") } });
    assert.match(message, /vmlinux on .*: this is not a socket\. Correct `domain.qmp`/);
  });

  it("says that nobody listens at a socket that a dead guest left", async () => {
    const left = stage().at("left.sock");
    const script = "require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))";
    await run(process.execPath, ["-e", script, left]).catch(() => {});
    const message = await stage().refuses({ domain: { qmp: left } });
    assert.match(message, /left\.sock on .*: nobody listens on it, so the guest is not running\. Start it/);
    await rm(left);
  });

  it("says that another client has the monitor, and how to find it", async () => {
    await using other = await Operator.connect(stage().guest.qmpSocket);
    const run = new StoppedWhenItWaits();
    const message = await stage().refuses({}, { run });
    assert.match(message, /no greeting came within 2 s.*another one may hold it.*ss -xp/);
    assert(run.lines.some((line) => line.includes("waits for the monitor of")));
    assert.deepEqual(await other.execute("query-status").then(Boolean), true);
  });

  it("says that a socket is none of a QMP monitor", async () => {
    await using stranger = await ScriptedMonitor.start(() => undefined, "220 mail.example.org ESMTP\r\n");
    const message = await stage().refuses({ domain: { qmp: stranger.socket } });
    assert.match(message, /this is no QMP monitor, it greets with .*220 mail/);
  });

  it("names the commands that the guest's QEMU lacks", async () => {
    const operator = stage().operator;
    await using old = await ScriptedMonitor.start(async ({ execute, arguments: args }) => {
      if (execute !== "query-qmp-schema") return { return: await operator.execute(execute, args) };
      const schema = (await operator.execute(execute)) as { name: string }[];
      return { return: schema.filter(({ name }) => name !== "job-finalize" && name !== "blockdev-reopen") };
    });
    const message = await stage().refuses({ domain: { qmp: old.socket } });
    assert.match(message, /its QEMU lacks blockdev-reopen, job-finalize\. Nothing was touched\. QEMU 7\.2 has all that is needed/);
  });
});

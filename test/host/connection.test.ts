import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import { SshConnection } from "../../provider/host/ssh-connection.js";
import { until } from "../sandbox/command.js";
import { connectHost } from "../world.js";
import { argsFor, cut, failure, hasConnections, host, overSsh, sshd, undoLater } from "./hosts.js";

describe("a connection", function () {
  overSsh(this);

  it("is one for all who ask for the same host", async () => {
    const server = await sshd();
    const hosts = await Promise.all(Array.from({ length: 10 }, () => connectHost(argsFor(server), {})));
    await Promise.all(hosts.map((one) => one.run("echo")));
    await hasConnections(server, 1);
    await connectHost(argsFor(server), { password: "another credential" });
    await hasConnections(server, 2);
  });

  it("that cannot come about is an error in words", async () => {
    const server = await sshd();
    await server.stop();
    const nobody = await failure("unreachable", connectHost(argsFor(server), {}));
    assert.match(nobody.message, /^Unable to reach 127\.0\.0\.1:\d+: nothing listens there \(connection refused\)\./);
    const unknown = await failure("unreachable", connectHost(argsFor(server, { address: "no-such-host.invalid" }), {}));
    assert.match(unknown.message, /its name (is not known|could not be looked up)/);
  });

  it("to something that is no sshd is an error in words", async () => {
    const server = createServer((client) => client.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    undoLater(() => server.close());
    const address = server.address();
    assert(address !== null && typeof address === "object");
    const args = argsFor({ ...(await sshd()), port: address.port });
    assert.match((await failure("unreachable", connectHost(args, {}))).message, /Check that an sshd listens there/);
  });

  it("that breaks rejects all that wait for it at once, and the next question connects anew", async () => {
    const { host: there, server, args } = await host();
    const talk = await there.open("echo ready; cat");
    assert.equal(await talk.next(5), "ready");
    const asked = failure("unreachable", there.run("sleep 20"));
    const talked = failure("outcome-unknown", talk.next(20));
    const start = Date.now();
    await cut(server);
    const broke = /The connection to 127\.0\.0\.1:\d+ broke: .*run `pulumi up` again\.$/;
    for (const { message } of await Promise.all([asked, talked])) assert.match(message, broke);
    assert(Date.now() - start < 5_000);
    await failure("outcome-unknown", talk.end(5));
    assert.equal((await there.run("echo alive")).stdout, "alive\n");
    assert.equal((await (await connectHost(args, {})).run("echo again")).stdout, "again\n");
    await hasConnections(server, 1);
  });

  it("that breaks ends its worker for the same reason, and the next question has another one", async () => {
    const { host: there, server } = await host();
    const worker = await there.worker();
    await cut(server);
    await until(
      10,
      () => worker.ended,
      () => "The worker has not ended.",
    );
    assert.match(worker.ended?.message ?? "", /^The connection to 127\.0\.0\.1:\d+ broke: /);
    assert.notEqual(await there.worker(), worker);
  });

  it("is given up when the run is stopped", async () => {
    const silent = createServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    undoLater(() => silent.close());
    const address = silent.address();
    assert(address !== null && typeof address === "object");
    const stop = new AbortController();
    const connecting = connectHost(argsFor({ ...(await sshd()), port: address.port }), {}, { stop: stop.signal });
    stop.abort();
    assert.match((await failure("unreachable", connecting)).message, /the run was stopped/);
  });

  it("that is open and idle does not keep the process alive", async () => {
    const server = await sshd();
    const program = `
      const { connectHost } = require(${JSON.stringify(resolve(__dirname, "../world.js"))});
      connectHost(${JSON.stringify(argsFor(server))}, {}).then(async (host) => {
        const answer = await host.run("echo $1", ["alive"]);
        const stream = await host.open("cat");
        process.stdout.write(answer.stdout);
      });`;
    const start = Date.now();
    const { stdout, status } = spawnSync(process.execPath, ["-e", program], { encoding: "utf8", timeout: 15_000 });
    assert.deepEqual([stdout, status], ["alive\n", 0]);
    assert(Date.now() - start < 9_000, "before a keepalive or the idle clock could have ended it");
  });

  it("is asked whether it is alive, and given up when it no longer answers", async () => {
    const server = await sshd();
    const connection = await SshConnection.open(argsFor(server), {}, { keepaliveSeconds: 0.1 });
    const channel = await connection.exec("sleep 1; echo still here");
    assert.equal(await text(channel), "still here\n");
    const pids = await server.sessionPids();
    undoLater(() => {
      for (const pid of pids) process.kill(pid, "SIGCONT");
    });
    for (const pid of pids) process.kill(pid, "SIGSTOP");
    assert.match((await failure("unreachable", connection.exec("echo"))).message, /broke: no answer for 0\.3 s/);
  });
});

describe("sessions on a connection", function () {
  overSsh(this);

  it("are one for all conversations, where MaxSessions is 1", async () => {
    const { host: there } = await host({ settings: { MaxSessions: "1" } });
    await there.run(":");
    const turns = Array.from({ length: 4 }, async (_, index) => {
      const talk = await there.open(`echo "$1"`, [String(index)]);
      const line = await talk.next(5);
      await talk.end(5);
      return line;
    });
    assert.deepEqual(await Promise.all(turns), ["0", "1", "2", "3"]);
    assert.equal((await there.run("echo alive")).stdout, "alive\n");
  });

  it("come free again after a command that hung", async () => {
    const { host: there } = await host({ settings: { MaxSessions: "1" } });
    await failure("unreachable", there.run("sleep 2", [], { timeoutSeconds: 0.3 }));
    assert.equal((await there.run("echo alive")).stdout, "alive\n");
  });

  it("are asked for in words where sshd allows none", async () => {
    const { host: there } = await host({ settings: { MaxSessions: "0" } });
    assert.match((await failure("user", there.run(":"))).message, /its sshd refuses every session\. .*MaxSessions above 0/);
  });
});

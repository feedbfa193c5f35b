import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, renameSync, symlinkSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { Host } from "../../provider/host/host.js";
import { until } from "../sandbox/command.js";
import { asNobody, failure, hasConnections, host, overSsh, scratch, undoLater } from "./hosts.js";

/** A socket that greets and sends everything back, as a monitor greets first. */
async function echo(path: string, greeting = "hello\n"): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (client) => {
    if (greeting !== "") client.write(greeting);
    client.on("error", () => {}).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  undoLater(() => server.close());
  return server;
}

async function talk(there: Host, path: string, words: string | Buffer = "ping"): Promise<string> {
  const stream = await there.connectSocket(path);
  stream.end(words);
  return text(stream);
}

/** A PATH on which of these programs only the given ones are to be found. */
async function pathWith(...programs: string[]): Promise<string> {
  const folder = await scratch();
  const needed = ["sh", "base64", "grep", "ls", "cat", ...programs];
  for (const program of needed)
    symlinkSync(execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim(), join(folder, program));
  return folder;
}

const roads = [
  { name: "a forwarded socket", settings: async () => ({}) },
  { name: "socat, where sshd forbids forwarding", settings: async () => ({ AllowStreamLocalForwarding: "no" }) },
  {
    name: "nc, where socat is missing too",
    settings: async () => ({ AllowStreamLocalForwarding: "no", SetEnv: `PATH=${await pathWith("nc")}` }),
  },
];

for (const road of roads) {
  describe(`a stream to a socket by ${road.name}`, function () {
    overSsh(this);

    it("carries bytes both ways and ends when either side ends", async () => {
      const { host: there } = await host({ settings: await road.settings() });
      const path = join(await scratch(), "echo.sock");
      await echo(path);
      assert.equal(await talk(there, path), "hello\nping");
      assert.equal(await talk(there, path), "hello\nping");
    });

    it("carries more than any buffer holds, unchanged", async () => {
      const { host: there } = await host({ settings: await road.settings() });
      const path = join(await scratch(), "echo.sock");
      await echo(path, "");
      const words = randomBytes(4_000_000).toString("base64");
      assert.equal(await talk(there, path, words), words);
    });

    it("leaves nothing connected when it is destroyed", async () => {
      const { host: there } = await host({ settings: await road.settings() });
      const path = join(await scratch(), "echo.sock");
      const server = await echo(path);
      const stream = await there.connectSocket(path);
      await once(stream, "data");
      stream.destroy();
      const left = () => new Promise<number>((resolve) => server.getConnections((_failure, count) => resolve(count)));
      await until(
        60,
        async () => ((await left()) === 0 ? "none" : undefined),
        () => "The socket is still connected.",
      );
    });

    it("finds a socket by any name that a path may have", async () => {
      const { host: there } = await host({ settings: await road.settings() });
      for (const name of ["a b", "it's", "a,b:c", "!!x", 'q"(x)[y]{z}', "back\\slash\\n", "-dash", "$(id)", "ü.sock"]) {
        const folder = join(await scratch(), "g,1:2");
        mkdirSync(folder);
        await echo(join(folder, name));
        assert.equal(await talk(there, join(folder, name)), "hello\nping", name);
      }
    });

    it("says in a sentence why there is none", async () => {
      const { host: there } = await host({ settings: await road.settings() });
      const folder = await scratch();
      const stale = join(folder, "stale.sock");
      const diesListening = "require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))";
      spawnSync(process.execPath, ["-e", diesListening, stale]);
      assert.match((await failure("user", there.connectSocket(stale))).message, /nobody listens there/);
      const missing = await failure("user", there.connectSocket(join(folder, "none.sock")));
      assert.match(missing.message, /^Unable to connect to \S+none\.sock on \S+: there is no such socket\./);
      assert.match((await failure("user", there.connectSocket(folder))).message, /it is not a socket/);
    });
  });
}

describe("a socket that sshd does not forward", function () {
  overSsh(this);

  it("because its path is longer than an address may be is reached from its own folder; the next is forwarded again", async () => {
    const { host: there, server } = await host();
    const folder = join(await scratch(), "l".repeat(80), "m".repeat(80));
    mkdirSync(folder, { recursive: true });
    const short = join(await scratch(), "short.sock");
    await echo(short);
    renameSync(short, join(folder, "long.sock"));
    assert.equal(await talk(there, join(folder, "long.sock")), "hello\nping");
    await echo(short);
    const stream = await there.connectSocket(short);
    const { stdout } = await there.run("ps -o args= --ppid $PPID | grep -c socat");
    assert.equal(stdout, "0\n");
    stream.destroy();
    await hasConnections(server, 1);
  });

  it("is asked for in words where neither socat nor nc is there", async () => {
    const settings = { AllowStreamLocalForwarding: "no", SetEnv: `PATH=${await pathWith()}` };
    const { host: there } = await host({ settings });
    // what the shell adds to PATH for daemons must not bring them back
    const path = join(await scratch(), "echo.sock");
    await echo(path);
    assert.match(
      (await failure("user", there.connectSocket(path))).message,
      /its sshd does not forward it .* Install socat .* AllowStreamLocalForwarding yes/,
    );
  });

  it("does not make a missing socket look like a forbidden forwarding: the next is forwarded", async () => {
    const { host: there, server } = await host({ settings: { MaxSessions: "1" } });
    const path = join(await scratch(), "echo.sock");
    await failure("user", there.connectSocket(path));
    await echo(path);
    assert.equal(await talk(there, path), "hello\nping");
    await hasConnections(server, 1);
  });

  it("counts as silent but connected when nothing comes", async () => {
    const { host: there } = await host({ settings: { AllowStreamLocalForwarding: "no" } });
    const path = join(await scratch(), "silent.sock");
    await echo(path, "");
    const stream = await there.connectSocket(path);
    stream.write("now");
    assert.equal(String((await once(stream, "data"))[0]), "now");
    stream.destroy();
  });

  it("may be out of the account's reach", async function () {
    if (process.getuid?.() !== 0) this.skip(); // only root can sign in as root and then be nobody
    const folder = await scratch();
    const path = join(folder, "root.sock");
    await echo(path);
    const { host: there } = await host({ settings: { AllowStreamLocalForwarding: "no", ...asNobody } });
    assert.match((await failure("user", there.connectSocket(path))).message, /may not use it\. Give the account access to it/);
    chmodSync(folder, 0o755);
    chmodSync(path, 0o755);
    assert.match((await failure("user", there.connectSocket(path))).message, /may not use it/);
    chmodSync(path, 0o777);
    assert.equal(await talk(there, path), "hello\nping");
    assert(existsSync(path));
  });
});

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Credentials } from "../../provider/core/credentials.js";
import { signInOf } from "../../provider/host/credentials.js";
import type { HostArgs } from "../../provider/host/target.js";
import type { Sshd } from "../sandbox/sshd.js";
import { connectHost } from "../world.js";
import { argsFor, failure, overSsh, scratch, sshd, undoLater } from "./hosts.js";
import { startPasswordServer } from "./password-server.js";

async function signsIn(args: HostArgs, credentials: Credentials = {}): Promise<void> {
  const host = await connectHost(args, credentials);
  assert.equal((await host.run("echo in")).stdout, "in\n");
}

async function makeKey(...options: string[]): Promise<string> {
  const file = join(await scratch(), "key");
  execFileSync("ssh-keygen", ["-q", "-N", "", "-f", file, ...options]);
  return file;
}

function allow(server: Sshd, key: string): void {
  writeFileSync(join(server.folder, "authorized_keys"), readFileSync(`${key}.pub`), { flag: "a" });
}

/** A real agent with these keys, in the environment for the rest of the test. */
async function startAgent(keys: readonly string[]): Promise<void> {
  const socket = join(await scratch(), "agent");
  const agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: ["ignore", "pipe", "ignore"] });
  undoLater(() => agent.kill("SIGTERM"));
  await once(agent.stdout, "data");
  for (const key of keys) execFileSync("ssh-add", ["-q", key], { env: { ...process.env, SSH_AUTH_SOCK: socket } });
  process.env.SSH_AUTH_SOCK = socket;
}

describe("signing in", function () {
  overSsh(this);

  it("works by an identity file, also below the home directory", async () => {
    const server = await sshd();
    await signsIn(argsFor(server));
    const home = process.env.HOME;
    undoLater(() => Object.assign(process.env, { HOME: home }));
    process.env.HOME = server.folder;
    await signsIn(argsFor(server, { identityFile: "~/identity" }));
  });

  it("works by a private key's text, which may have lost its last line break", async () => {
    const server = await sshd();
    const text = readFileSync(server.identityFile, "utf8");
    await signsIn(argsFor(server, { identityFile: undefined }), { privateKey: text });
    await signsIn(argsFor(server, { identityFile: undefined }), { privateKey: `\n  ${text.trimEnd()}` });
  });

  for (const options of [
    ["-t", "rsa"],
    ["-t", "ecdsa"],
    ["-t", "rsa", "-m", "PEM"],
  ]) {
    it(`works by a key of ssh-keygen ${options.join(" ")}`, async () => {
      const server = await sshd();
      const key = await makeKey(...options);
      allow(server, key);
      await signsIn(argsFor(server, { identityFile: key }));
    });
  }

  it("works by an encrypted key with its pass phrase", async () => {
    const server = await sshd();
    const { encryptedIdentityFile, passphrase } = server;
    await signsIn(argsFor(server, { identityFile: encryptedIdentityFile }), { passphrase });
    await signsIn(argsFor(server, { identityFile: undefined }), { privateKey: readFileSync(encryptedIdentityFile, "utf8"), passphrase });
  });

  it("says what an encrypted key lacks", async () => {
    const server = await sshd();
    const args = argsFor(server, { identityFile: server.encryptedIdentityFile });
    const without = await failure("user", connectHost(args, {}));
    assert.match(without.message, /identity_encrypted is protected by a pass phrase, and livedisk:passphrase is not set\./);
    const wrong = await failure("user", connectHost(args, { passphrase: "wrong" }));
    assert.match(wrong.message, /livedisk:passphrase does not open it/);
    const text = await failure("user", connectHost(argsFor(server), { privateKey: readFileSync(server.encryptedIdentityFile, "utf8") }));
    assert.match(text.message, /^Unable to use livedisk:privateKey: it is protected by a pass phrase/);
    assert.doesNotMatch(wrong.message, /"wrong"/);
  });

  it("says what is wrong with a key file", async () => {
    const server = await sshd();
    const missing = await failure("user", connectHost(argsFor(server, { identityFile: "/no/such/key" }), {}));
    assert.match(missing.message, /^Unable to read the identity file \/no\/such\/key: ENOENT/);
    const half = await failure("user", connectHost(argsFor(server, { identityFile: `${server.identityFile}.pub` }), {}));
    assert.match(half.message, /it is no private key in OpenSSH or PEM format\. Give the private half/);
  });

  it("works by the ssh-agent, also where the identity file is encrypted and the agent has it open", async () => {
    const server = await sshd();
    await startAgent([server.identityFile]);
    await signsIn(argsFor(server, { identityFile: undefined }));
    await signsIn(argsFor(server, { identityFile: server.encryptedIdentityFile }));
  });

  it("goes on to the next key when one is refused", async () => {
    const server = await sshd();
    await startAgent([server.identityFile]);
    const strange = readFileSync(await makeKey("-t", "ed25519"), "utf8");
    await signsIn(argsFor(server, { identityFile: undefined }), { privateKey: strange });
  });

  it("says what was tried when all is refused, and what the host would accept", async () => {
    const server = await sshd();
    const strange = await makeKey("-t", "ed25519");
    await startAgent([]);
    const credentials = { privateKey: readFileSync(strange, "utf8"), password: "secret word" };
    const { message } = await failure("user", connectHost(argsFor(server, { identityFile: strange }), credentials));
    assert(
      message.includes(`it refused the key in livedisk:privateKey, the identity file ${strange}, the ssh-agent (it accepts publickey)`),
      message,
    );
    assert.match(message, /^Unable to sign in to \S+@127\.0\.0\.1:\d+: .* Check `host\.user` .*authorized_keys\..*SSH_AUTH_SOCK/);
    assert.doesNotMatch(message, /secret word/);
  });

  it("says when the agent does not answer", async () => {
    const server = await sshd();
    process.env.SSH_AUTH_SOCK = join(server.folder, "no-agent");
    const { message } = await failure("user", connectHost(argsFor(server, { identityFile: undefined }), {}));
    assert.match(message, /the ssh-agent .*(ENOENT|connect)/);
  });

  it("says when there is nothing to sign in with", async () => {
    const server = await sshd();
    const { message } = await failure("user", connectHost(argsFor(server, { identityFile: undefined }), {}));
    assert.match(message, /there is nothing to sign in with\. Set a key by `pulumi config set --secret livedisk:privateKey`/);
  });

  it("says that an agent's many keys used up the host's patience", async () => {
    const server = await sshd({ settings: { MaxAuthTries: "2" } });
    const strange = [await makeKey("-t", "ed25519"), await makeKey("-t", "ed25519"), await makeKey("-t", "ed25519")];
    await startAgent([...strange, server.identityFile]);
    const { message } = await failure("user", connectHost(argsFor(server, { identityFile: undefined }), {}));
    assert.match(message, /after trying the ssh-agent the host ended the connection: Too many authentication failures.*MaxAuthTries/);
    await signsIn(argsFor(server));
  });

  for (const method of ["password", "keyboard-interactive"] as const) {
    it(`works by a password where the host is named for it, asked for by ${method}`, async () => {
      const server = await startPasswordServer(method, "right");
      undoLater(server.stop);
      const passwordFor = ["db-3", `127.0.0.1:${server.port}`];
      await connectHost(argsFor({ ...(await sshd()), ...server }, { identityFile: undefined }), { password: "right", passwordFor });
      const wrong = connectHost(argsFor({ ...(await sshd()), ...server }), { password: "wrong", passwordFor });
      const { message } = await failure("user", wrong);
      assert.deepEqual(server.received, ["right", "wrong"]);
      assert.match(message, new RegExp(`it refused livedisk:password.*\\(it accepts ${method}\\)`));
    });
  }

  it("says nothing of a password where the host takes none", async () => {
    const { message } = await failure(
      "user",
      connectHost(argsFor(await sshd(), { identityFile: await makeKey() }), { password: "secret" }),
    );
    assert.doesNotMatch(message, /livedisk:password/);
  });
});

describe("the hosts that a password may be sent to", function () {
  overSsh(this);
  const isTried = async (address: string, port: number, passwordFor: string[]) => {
    const signingIn = signInOf({ address, port, user: "root" }, { password: "secret", passwordFor });
    return signingIn.then(
      ({ attempts }) => attempts.length === 2,
      () => false,
    );
  };

  for (const [entry, address, port] of [
    ["db-3.example.org", "DB-3.example.org", 22],
    ["DB-3:22", "db-3", 22],
    ["db-3:2222", "db-3", 2222],
    ["2001:db8::7", "2001:db8::7", 22],
    ["[2001:db8::7]", "2001:db8::7", 22],
    ["[2001:db8::7]:2222", "2001:db8::7", 2222],
  ] as const)
    it(`include ${address} at port ${port} where ${entry} is in the list`, async () => {
      assert(await isTried(address, port, ["other", entry]));
    });

  for (const [entry, address, port] of [
    ["db-3", "db-3", 2222],
    ["db-3:2222", "db-3", 22],
    ["example.org", "db-3.example.org", 22],
    ["db-3.example.org", "db-3", 22],
    ["2001:db8::7", "2001:db8::7", 2222],
    ["2001:db8::2222", "2001:db8:", 2222],
  ] as const)
    it(`do not include ${address} at port ${port} where only ${entry} is in the list`, async () => {
      assert(!(await isTried(address, port, [entry])));
    });
});

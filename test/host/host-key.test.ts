import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Sshd } from "../sandbox/sshd.js";
import { connectHost } from "../world.js";
import { argsFor, failure, overSsh, scratch, sshd } from "./hosts.js";

/** Connects with a known_hosts of this text and tells what the host says. */
async function withKnownHosts(server: Sshd, text: string): Promise<string> {
  const knownHostsFile = join(await scratch(), "known_hosts");
  writeFileSync(knownHostsFile, text);
  const host = await connectHost(argsFor(server, { hostKey: undefined, knownHostsFile }), {});
  return (await host.run("echo trusted")).stdout.trim();
}

/** `type base64` of a server's host key. */
function publicKey(server: Sshd, type = "ed25519"): string {
  return readFileSync(join(server.folder, `host_${type}.pub`), "utf8")
    .split(" ")
    .slice(0, 2)
    .join(" ");
}

describe("the host key", function () {
  overSsh(this);

  it("is trusted by its fingerprint", async () => {
    const server = await sshd();
    const host = await connectHost(argsFor(server), {});
    assert.equal((await host.run("echo trusted")).stdout, "trusted\n");
    await connectHost(argsFor(server, { hostKey: `${server.hostKeyFingerprint}=` }), {});
  });

  it("with another fingerprint is refused, with both in the sentence", async () => {
    const server = await sshd();
    const other = `SHA256:${"A".repeat(43)}`;
    const { message } = await failure("user", connectHost(argsFor(server, { hostKey: other }), {}));
    assert.match(message, /^Unable to trust 127\.0\.0\.1:\d+: it shows the ssh-ed25519 host key /);
    for (const part of [other, server.hostKeyFingerprint, "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"])
      assert(message.includes(part), message);
  });

  it("is found in known_hosts, in plain and in lists", async () => {
    const server = await sshd();
    assert.equal(await withKnownHosts(server, readFileSync(server.knownHostsFile, "utf8")), "trusted");
    assert.equal(
      await withKnownHosts(server, `# a comment\n\nother,[127.0.0.1]:${server.port} ${publicKey(server)} a comment\n`),
      "trusted",
    );
  });

  it("is found in known_hosts that ssh-keygen has hashed", async () => {
    const server = await sshd();
    execFileSync("ssh-keygen", ["-q", "-H", "-f", server.knownHostsFile], { stdio: "ignore" });
    const text = readFileSync(server.knownHostsFile, "utf8");
    assert.match(text, /^\|1\|/);
    assert.equal(await withKnownHosts(server, text), "trusted");
  });

  it("is found by patterns, and not where one excludes the host", async () => {
    const server = await sshd();
    assert.equal(await withKnownHosts(server, `[127.0.0.?]:* ${publicKey(server)}\n`), "trusted");
    const { message } = await failure("user", withKnownHosts(server, `*,![127.0.0.1]:${server.port},!127.0.0.1 ${publicKey(server)}\n`));
    assert.match(message, /has no key for \[127\.0\.0\.1\]:\d+/);
  });

  it("is trusted without its port, as ssh does, but says nothing of another one's", async () => {
    const server = await sshd();
    const other = await sshd();
    assert.equal(await withKnownHosts(server, `127.0.0.1 ${publicKey(server)}\n`), "trusted");
    assert.match((await failure("user", withKnownHosts(server, `127.0.0.1 ${publicKey(other)}\n`))).message, /has no key for/);
  });

  it("that is unknown is refused, with its fingerprint and the line to add; that line then is trusted", async () => {
    const server = await sshd();
    const { message } = await failure("user", withKnownHosts(server, ""));
    assert(message.includes(`hostKey: "${server.hostKeyFingerprint}"`), message);
    const [, line] = /add this line to \S+: `(.*)`\.$/.exec(message) ?? [];
    assert.equal(await withKnownHosts(server, `${line}\n`), "trusted");
  });

  it("is unknown where there is no known_hosts at all", async () => {
    const server = await sshd();
    const knownHostsFile = join(await scratch(), "none");
    const { message } = await failure("user", connectHost(argsFor(server, { hostKey: undefined, knownHostsFile }), {}));
    assert(message.includes(server.hostKeyFingerprint) && message.includes(knownHostsFile), message);
  });

  it("cannot be checked in a known_hosts that cannot be read", async () => {
    const server = await sshd();
    const { message } = await failure("user", connectHost(argsFor(server, { hostKey: undefined, knownHostsFile: server.folder }), {}));
    assert.match(message, /cannot be read \(EISDIR/);
  });

  it("that has changed is refused, with both fingerprints and how to mend it", async () => {
    const before = await sshd();
    const after = await sshd();
    const text = `# first line\n[127.0.0.1]:${after.port} ${publicKey(before)}\n`;
    const { message } = await failure("user", withKnownHosts(after, text));
    for (const part of [
      before.hostKeyFingerprint,
      after.hostKeyFingerprint,
      "line 2",
      `ssh-keygen -R '[127.0.0.1]:${after.port}'`,
      publicKey(after),
    ]) {
      assert(message.includes(part), `${part} is missing: ${message}`);
    }
  });

  it("that is marked as revoked is refused even where another line trusts it", async () => {
    const server = await sshd();
    const text = `${readFileSync(server.knownHostsFile, "utf8")}@revoked * ${publicKey(server)}\n`;
    assert.match((await failure("user", withKnownHosts(server, text))).message, /line 2 of \S+ marks as revoked/);
  });

  it("is not trusted because it is a certificate authority's", async () => {
    const server = await sshd();
    assert.match((await failure("user", withKnownHosts(server, `@cert-authority * ${publicKey(server)}\n`))).message, /has no key for/);
  });

  it("of the kind that is known is asked for, where the host has several", async function () {
    this.timeout(180_000);
    const server = await sshd({ hostKeyTypes: ["ed25519", "ecdsa", "rsa"] });
    for (const type of ["ed25519", "ecdsa", "rsa"]) {
      assert.equal(await withKnownHosts(server, `[127.0.0.1]:${server.port} ${publicKey(server, type)}\n`), "trusted", type);
    }
  });

  it("of another kind than the known one counts as changed", async () => {
    const server = await sshd();
    const other = await sshd({ hostKeyTypes: ["ecdsa"] });
    const { message } = await failure("user", withKnownHosts(server, `[127.0.0.1]:${server.port} ${publicKey(other, "ecdsa")}\n`));
    assert(message.includes(other.hostKeyFingerprint) && message.includes("(ecdsa-sha2-nistp256, line 1)"), message);
  });
});

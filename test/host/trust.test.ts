/** Which host is trusted, and what signs in to it: decided before anything is sent. */

import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import path from "node:path";
import type { Credentials } from "../../provider/core/credentials.js";
import { isKind } from "../../provider/core/errors.js";
import { signInOf } from "../../provider/host/credentials.js";
import { hostKeyCheck } from "../../provider/host/host-key.js";
import { fingerprintOf } from "../../provider/host/known-hosts.js";
import { poolKey } from "../../provider/host/pool.js";
import type { SignInArgs } from "../../provider/host/target.js";
import { makeFolder } from "../sandbox/folders.js";

const target: SignInArgs = { address: "db-3", port: 22, user: "deploy" };

/** The blob of a key that nobody has the private half of. */
function publicKey(type = "ssh-ed25519"): Buffer {
  const sized = (bytes: Buffer) => Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes]);
  return Buffer.concat([sized(Buffer.from(type)), sized(randomBytes(32))]);
}

const lineOf = (name: string, key: Buffer, type = "ssh-ed25519") => `${name} ${type} ${key.toString("base64")}`;

/** Why a host that shows `key` is refused by a known_hosts file of these lines. */
async function refusalBy(lines: readonly string[], key: Buffer, more: Partial<SignInArgs> = {}): Promise<string | undefined> {
  const { path: folder, remove } = await makeFolder("livedisk-trust-");
  await using _ = { [Symbol.asyncDispose]: remove };
  const knownHostsFile = path.join(folder, "known_hosts");
  writeFileSync(knownHostsFile, lines.join("\n"));
  return (await hostKeyCheck({ ...target, knownHostsFile, ...more })).refusal(key)?.message;
}

describe("a host's key", () => {
  const key = publicKey();
  const other = publicKey();

  it("that is pinned is the only one that is trusted, with padding or without", async () => {
    for (const hostKey of [fingerprintOf(key), `${fingerprintOf(key)}=`]) {
      const { refusal } = await hostKeyCheck({ ...target, hostKey });
      assert.equal(refusal(key), undefined);
      assert.match(refusal(other)?.message ?? "", /^Unable to trust db-3: it shows the ssh-ed25519 host key .* but `hostKey` is/);
    }
  });

  it("is trusted where known_hosts has it for the host", async () => {
    assert.equal(await refusalBy([lineOf("db-3", other), lineOf("db-3", key)], key), undefined);
    assert.match((await refusalBy([lineOf("db-4", key)], key)) ?? "", /has no key for db-3\. .*db-3 ssh-ed25519 /);
    assert.match((await refusalBy([], key)) ?? "", /has no key for db-3/);
  });

  it("that is another than the known one is refused with the lines that say so", async () => {
    const said = await refusalBy(["# a comment", lineOf("db-3", other)], key);
    assert.match(said ?? "", /but \S+ has SHA256:\S+ \(ssh-ed25519, line 2\)\. Somebody may stand in between/);
  });

  it("that is revoked is refused, whatever else the file has", async () => {
    assert.match((await refusalBy([lineOf("db-3", key), `@revoked ${lineOf("*", key)}`], key)) ?? "", /line 2 of \S+ marks as revoked/);
    assert.match((await refusalBy([`@revoked ${lineOf("db-3", other)}`], key)) ?? "", /has no key for db-3/);
  });

  it("that is known without the port is trusted on another port, where the port has none of its own", async () => {
    assert.equal(await refusalBy([lineOf("db-3", key)], key, { port: 2222 }), undefined);
    assert.match((await refusalBy([lineOf("[db-3]:2222", other), lineOf("db-3", publicKey())], key, { port: 2222 })) ?? "", /line 1\)/);
    assert.match((await refusalBy([lineOf("[db-3]:2222", key)], key)) ?? "", /has no key for db-3/);
  });

  it("is known nowhere where there is no file, and an error where it cannot be read", async () => {
    const check = await hostKeyCheck({ ...target, knownHostsFile: "/nowhere/known_hosts" });
    assert.match(check.refusal(key)?.message ?? "", /has no key for db-3/);
    await assert.rejects(
      hostKeyCheck({ ...target, knownHostsFile: "/" }),
      (thrown) => isKind(thrown, "user") && /cannot be read/.test(thrown.message),
    );
  });

  it("is asked for by the types that are known, the others behind them", async () => {
    const { path: folder, remove } = await makeFolder("livedisk-trust-");
    await using _ = { [Symbol.asyncDispose]: remove };
    const knownHostsFile = path.join(folder, "known_hosts");
    writeFileSync(knownHostsFile, lineOf("db-3", publicKey("ssh-rsa"), "ssh-rsa"));
    const { algorithms = [] } = await hostKeyCheck({ ...target, knownHostsFile });
    assert.deepEqual(algorithms.slice(0, 3), ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]);
    assert.equal((await hostKeyCheck({ ...target, hostKey: fingerprintOf(key) })).algorithms, undefined);
  });
});

const { privateKey } = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  privateKeyEncoding: { type: "pkcs1", format: "pem" },
  publicKeyEncoding: { type: "pkcs1", format: "pem" },
});

/** Names of what is tried, without an ssh-agent. */
async function ways(credentials: Credentials, more: Partial<SignInArgs> = {}, agent?: string) {
  const before = process.env.SSH_AUTH_SOCK;
  if (agent === undefined) delete process.env.SSH_AUTH_SOCK;
  else process.env.SSH_AUTH_SOCK = agent;
  try {
    const { attempts, withheld } = await signInOf({ ...target, ...more }, credentials);
    return { names: attempts.map(({ name }) => name), withheld };
  } finally {
    if (before === undefined) delete process.env.SSH_AUTH_SOCK;
    else process.env.SSH_AUTH_SOCK = before;
  }
}

describe("what signs in", () => {
  it("is the stack's key, then the agent, then the password in two ways", async () => {
    const { names } = await ways({ privateKey, password: "x", passwordFor: ["db-3"] }, {}, "/run/agent");
    assert.deepEqual(names, [
      "the key in livedisk:privateKey",
      "the ssh-agent",
      "livedisk:password",
      "livedisk:password, asked for interactively",
    ]);
  });

  it("is never the password where the host is not named for it", async () => {
    for (const passwordFor of [[], ["db-4"], ["db-3:2222"], ["db"]]) {
      const { names, withheld } = await ways({ privateKey, password: "x", passwordFor });
      assert.deepEqual(names, ["the key in livedisk:privateKey"], passwordFor.join());
      assert.match(withheld ?? "", new RegExp(`livedisk:passwordFor\\[${passwordFor.length}\\]' db-3`));
    }
  });

  it("is the password where the host is named with its port, in capitals, or as an IPv6 address", async () => {
    const named = async (entry: string, more: Partial<SignInArgs>) =>
      (await ways({ password: "x", passwordFor: [entry] }, more)).names.length;
    assert.equal(await named("DB-3", {}), 2);
    assert.equal(await named("db-3:2222", { port: 2222 }), 2);
    assert.equal(await named("[2001:db8::7]:2222", { address: "2001:db8::7", port: 2222 }), 2);
    assert.equal(await named("2001:db8::7", { address: "2001:db8::7" }), 2);
  });

  it("speaks of no password where there is none", async () => assert.equal((await ways({ privateKey })).withheld, undefined));

  it("is an error where there is nothing, which says what to set", () =>
    assert.rejects(
      ways({}),
      (thrown) => isKind(thrown, "user") && /deploy@db-3: there is nothing to sign in with\. Set a key/.test(thrown.message),
    ));

  it("is an error for a key that is none, without a word of it", async () => {
    await assert.rejects(
      ways({ privateKey: "secret words" }),
      (thrown) => isKind(thrown, "user") && /no private key/.test(thrown.message) && !/secret/.test(thrown.message),
    );
    await assert.rejects(ways({}, { identityFile: "/nowhere/key" }), /Unable to read the identity file \/nowhere\/key/);
  });

  it("is an error for a protected key without its pass phrase, or with a wrong one", async () => {
    const sealed = generateKeyPairSync("rsa", {
      modulusLength: 2048,
      privateKeyEncoding: { type: "pkcs1", format: "pem", cipher: "aes-256-cbc", passphrase: "right" },
      publicKeyEncoding: { type: "pkcs1", format: "pem" },
    }).privateKey;
    await assert.rejects(ways({ privateKey: sealed }), /protected by a pass phrase, and livedisk:passphrase is not set/);
    await assert.rejects(ways({ privateKey: sealed, passphrase: "wrong" }), /livedisk:passphrase does not open it/);
    assert.equal((await ways({ privateKey: sealed, passphrase: "right" })).names.length, 1);
  });
});

describe("the connections of this process", () => {
  it("are one for each account, host key, secret and jump", () => {
    const others: [SignInArgs & { jump?: SignInArgs }, Credentials][] = [
      [{ ...target, address: "db-4" }, {}],
      [{ ...target, port: 2222 }, {}],
      [{ ...target, user: "me" }, {}],
      [{ ...target, identityFile: "/key" }, {}],
      [{ ...target, hostKey: "SHA256:a" }, {}],
      [{ ...target, knownHostsFile: "/known" }, {}],
      [{ ...target, jump: { ...target, address: "gate" } }, {}],
      [target, { privateKey: "a" }],
      [target, { passphrase: "a" }],
      [target, { password: "a" }],
      [target, { passwordFor: ["a"] }],
    ];
    const keys = [poolKey(target, {}), ...others.map(([one, credentials]) => poolKey(one as Parameters<typeof poolKey>[0], credentials))];
    assert.equal(new Set(keys).size, keys.length);
    assert.equal(poolKey({ ...target, address: "DB-3" }, {}), keys[0]);
  });
});

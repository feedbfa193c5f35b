/** This machine as a host, over sshds of the test's own. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import type { z } from "zod";
import type { Credentials } from "../../provider/core/credentials.js";
import { type ErrorKind, isKind } from "../../provider/core/errors.js";
import { closeAllHosts } from "../../provider/host/connection.js";
import type { Host } from "../../provider/host/host.js";
import { type HostArgs, hostArgs } from "../../provider/host/target.js";
import { until } from "../sandbox/command.js";
import { makeFolder } from "../sandbox/folders.js";
import { type Sshd, type SshdOptions, startSshd } from "../sandbox/sshd.js";
import { connectHost } from "../world.js";

const undo: (() => unknown)[] = [];

/** Called after the test, the last one first. */
export function undoLater(act: () => unknown): void {
  undo.push(act);
}

/** Gives a describe block time for real servers, undoes what its tests began, and keeps the developer's own agent out of them. */
export function overSsh(suite: Mocha.Suite): void {
  const agent = process.env.SSH_AUTH_SOCK;
  suite.timeout(30_000);
  suite.beforeEach(() => void delete process.env.SSH_AUTH_SOCK);
  suite.afterEach(async () => {
    await closeAllHosts();
    for (let act = undo.pop(); act !== undefined; act = undo.pop()) await act();
    if (agent !== undefined) process.env.SSH_AUTH_SOCK = agent;
  });
}

export async function scratch(): Promise<string> {
  const folder = await makeFolder("livedisk-host-");
  undoLater(folder.remove);
  return folder.path;
}

export async function sshd(options: Omit<SshdOptions, "folder"> & { folder?: string } = {}): Promise<Sshd> {
  const server = await startSshd({ ...options, folder: options.folder ?? (await scratch()) });
  undoLater(() => server.stop());
  return server;
}

/** The `host` argument for a server, with what a test wants different; `undefined` takes an argument out. */
export function argsFor(server: Sshd, different: Partial<z.input<typeof hostArgs>> = {}): HostArgs {
  const { port, user, identityFile, hostKeyFingerprint } = server;
  const args = { address: "127.0.0.1", port, user, identityFile, hostKey: hostKeyFingerprint, ...different };
  return hostArgs.parse(Object.fromEntries(Object.entries(args).filter(([, value]) => value !== undefined)));
}

/** An sshd of its own, and a connection to it. */
export async function host(
  options: { settings?: SshdOptions["settings"]; args?: Partial<z.input<typeof hostArgs>>; credentials?: Credentials } = {},
): Promise<{ host: Host; server: Sshd; args: HostArgs }> {
  const server = await sshd(options.settings ? { settings: options.settings } : {});
  const args = argsFor(server, options.args);
  return { server, args, host: await connectHost(args, options.credentials ?? {}) };
}

/** The error that a promise must end in, of this kind. */
export async function failure(kind: ErrorKind, promise: Promise<unknown>): Promise<Error> {
  const thrown: unknown = await promise.then(
    (value) => assert.fail(`It succeeded, with ${JSON.stringify(value)}.`),
    (reason: unknown) => reason,
  );
  assert(isKind(thrown, kind), `not of kind ${kind}: ${String(thrown)}`);
  assert.match(thrown.message, /^[A-Z].*[.`]$/s);
  assert.doesNotMatch(thrown.message, /PRIVATE KEY|undefined|\[object/);
  return thrown;
}

/** The end of a connection takes sshd a moment. */
export async function hasConnections(server: Sshd, count: number): Promise<void> {
  let found = -1;
  const asExpected = async () => {
    found = await server.connections();
    return found === count ? found : undefined;
  };
  // an unused one is closed after a minute anyhow (pool.ts)
  await until(30, asExpected, () => `The server has ${found} connections and not ${count}.`);
}

/** Ends a server's connections, as a broken network or a restarted host does. */
export async function cut(server: Sshd): Promise<void> {
  for (const pid of await server.sessionPids()) process.kill(pid, "SIGKILL");
}

/** For an sshd of root's: who signs in is nobody, who may do nothing. */
export const asNobody = { ForceCommand: `setpriv --reuid=65534 --regid=65534 --clear-groups sh -c "$SSH_ORIGINAL_COMMAND"` };

export function isInstalled(program: string): "installed" | "absent" {
  try {
    execFileSync("sh", ["-c", 'command -v -- "$1"', "sh", program], { stdio: "ignore" });
    return "installed";
  } catch {
    return "absent";
  }
}

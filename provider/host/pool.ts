/** The connections of this process, each there once. */

import { createHash } from "node:crypto";
import { Slots } from "../core/async/slots.js";
import type { Credentials } from "../core/credentials.js";
import { Sessions } from "./sessions.js";
import { SshConnection } from "./ssh-connection.js";
import { type HostArgs, hostIdentity, type SignInArgs } from "./target.js";
import { Workers } from "./worker/workers.js";

const idleSeconds = 60;

/** Each is a process or two of the host's, which has other things to do. */
const scriptsAtOnce = 8;

/** What is kept of a host while it is connected. */
export interface Connected {
  connection: SshConnection;
  sessions: Sessions;
  /** By privilege: the same connection serves both. */
  workers: Workers<HostArgs["privilege"]>;
  /** Scripts that run at the same time, of all who ask. */
  running: Slots;
  /** Hosts that are reached through this one. */
  streams: number;
  idle: NodeJS.Timeout | undefined;
}

type PooledArgs = SignInArgs & Pick<HostArgs, "jump">;

const pool = new Map<string, { connected: Promise<Connected>; giveUp: AbortController }>();

/** The host's connection; a new one where there is none, or where it has ended. */
export async function awake(target: PooledArgs, credentials: Credentials): Promise<Connected> {
  const key = poolKey(target, credentials);
  const existing = pool.get(key);
  if (existing === undefined) return connect(key, target, credentials);
  const host = await existing.connected;
  if (host.connection.waits.broken === undefined) {
    rest(host);
    return host;
  }
  if (pool.get(key) === existing) pool.delete(key);
  return awake(target, credentials);
}

/** Closes every connection. For tests, and for the end of the process. */
export async function closeAllHosts(): Promise<void> {
  const all = [...pool.values()];
  pool.clear();
  for (const { giveUp } of all) giveUp.abort();
  const opened = await Promise.allSettled(all.map(({ connected }) => connected));
  await Promise.all(opened.map((one) => (one.status === "fulfilled" ? one.value.connection.end() : undefined)));
}

/** Who signs in where, and how. Secrets are in it as a hash only. */
export function poolKey({ jump, ...target }: PooledArgs, credentials: Credentials): string {
  const { privateKey, passphrase, password, passwordFor } = credentials;
  const keys = [target, ...(jump ? [jump] : [])].map((one) => [
    hostIdentity(one),
    one.user,
    one.identityFile,
    one.hostKey,
    one.knownHostsFile,
  ]);
  return createHash("sha256")
    .update(JSON.stringify([keys, privateKey, passphrase, password, passwordFor, process.env.SSH_AUTH_SOCK]))
    .digest("hex");
}

function connect(key: string, target: PooledArgs, credentials: Credentials): Promise<Connected> {
  const forget = () => {
    if (pool.get(key)?.connected === connected) pool.delete(key);
  };
  const giveUp = new AbortController();
  const connected = open(target, credentials, { forget, giveUp: giveUp.signal });
  pool.set(key, { connected, giveUp });
  connected.catch(forget);
  return connected;
}

interface Opening {
  /** Called when the connection has ended. */
  forget(): void;
  giveUp: AbortSignal;
}

async function open(target: PooledArgs, credentials: Credentials, { forget, giveUp }: Opening): Promise<Connected> {
  const through = target.jump && (await awake(target.jump, credentials));
  const connection = await SshConnection.open(target, credentials, { through: through?.connection, giveUp });
  const host: Connected = {
    connection,
    sessions: new Sessions(connection),
    workers: new Workers(),
    running: new Slots(scriptsAtOnce),
    streams: 0,
    idle: undefined,
  };
  if (through) {
    through.streams++;
    connection.onEnd(() => through.streams--);
  }
  connection.onEnd(() => {
    clearTimeout(host.idle);
    forget();
  });
  rest(host);
  return host;
}

/** Starts the clock again that closes a connection nobody uses. */
function rest(host: Connected): void {
  clearTimeout(host.idle);
  host.idle = setTimeout(() => (isIdle(host) ? host.connection.close() : rest(host)), idleSeconds * 1000);
  host.idle.unref();
}

function isIdle({ running, workers, streams }: Connected): boolean {
  return streams === 0 && running.isFree && workers.areIdle;
}

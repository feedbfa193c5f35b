/** Hosts, connected: one SSH connection for each in the whole run, shared by all who ask for it. */

import type { Duplex } from "node:stream";
import { UnreachableError } from "../core/errors.js";
import { ScriptConversation } from "./conversation.js";
import type { Conversation, Credentials, Finished, Host, RunOptions } from "./host.js";
import { awake, type Connected, poolKey } from "./pool.js";
import { type Account, ScriptSession } from "./script-session.js";
import { Shell } from "./shell.js";
import { connectSocket, type SocketRoad } from "./socket.js";
import { type HostArgs, hostName } from "./target.js";

export { closeAllHosts } from "./pool.js";

export interface ConnectOptions {
  /** Gives up waiting for the connection, not the connection itself: others may wait for it too. */
  stop?: AbortSignal;
  /**
   * How many sessions it may have at a time, the shell among them; of several who say so, the largest number counts.
   * @default 4
   */
  sessionsAtMost?: number;
}

/**
 * A connected host. When the connection breaks, what waits for it fails at once, and the next question connects anew.
 * The connection is closed after a minute of silence and does not keep the process alive.
 * @throws UserError if the host key or the credentials are refused
 * @throws UnreachableError if the host does not answer
 */
export async function connectHost(target: HostArgs, credentials: Credentials, options: ConnectOptions = {}): Promise<Host> {
  const key = `${target.privilege} ${poolKey(target, credentials)}`;
  const host = hosts.get(key) ?? new PooledHost(target, () => awake(target, credentials));
  hosts.set(key, host);
  const connected = await unlessStopped(awake(target, credentials), host.name, options.stop);
  connected.sessions.allow(options.sessionsAtMost);
  return host;
}

/** By who signs in where, and how: all who mean the same get the same one, so that they can share what they ask of it. */
const hosts = new Map<string, PooledHost>();

class PooledHost implements Host {
  readonly name: string;

  readonly #target: HostArgs;
  readonly #connected: () => Promise<Connected>;

  constructor(target: HostArgs, connected: () => Promise<Connected>) {
    this.#target = target;
    this.#connected = connected;

    this.name = hostName(target);
  }

  async run(script: string, args: readonly string[] = [], options: RunOptions = {}): Promise<Finished> {
    return this.#shellOf(await this.#connected()).run(script, args, options);
  }

  async open(script: string, args: readonly string[] = []): Promise<Conversation> {
    return new ScriptConversation(await ScriptSession.start(this.#accountOn(await this.#connected()), script, args));
  }

  async connectSocket(path: string): Promise<Duplex> {
    const host = await this.#connected();
    const shell = this.#shellOf(host);
    const road: SocketRoad = {
      account: this.#accountOn(host),
      forwarding: host.forwarding,
      run: (script, args) => shell.run(script, args, {}),
    };
    const stream = await connectSocket(road, path);
    host.forwarding = road.forwarding;
    host.streams++;
    stream.once("close", () => host.streams--);
    return stream;
  }

  #shellOf(host: Connected): Shell {
    const { privilege } = this.#target;
    const shell = host.shells.get(privilege) ?? new Shell(this.#accountOn(host));
    host.shells.set(privilege, shell);
    return shell;
  }

  #accountOn({ connection, sessions }: Connected): Account {
    return { connection, sessions, user: this.#target.user, privilege: this.#target.privilege };
  }
}

function unlessStopped<T>(work: Promise<T>, name: string, stop: AbortSignal | undefined): Promise<T> {
  if (!stop) return work;
  return new Promise<T>((resolve, reject) => {
    const stopped = () => reject(new UnreachableError(`Unable to connect to ${name}: the run was stopped. Run \`pulumi up\` again.`));
    if (stop.aborted) stopped();
    stop.addEventListener("abort", stopped, { once: true });
    work.then(resolve, reject).finally(() => stop.removeEventListener("abort", stopped));
  });
}

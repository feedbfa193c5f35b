/** Hosts, connected: one SSH connection for each in the whole run, shared by all who ask for it. */

import type { Credentials } from "../core/credentials.js";
import { UnreachableError } from "../core/errors.js";
import type { World } from "../core/world.js";
import { ScriptConversation } from "./conversation.js";
import type { Conversation, Finished, Host, RunOptions } from "./host.js";
import { OneWorker } from "./one-worker.js";
import { openWorker } from "./open-worker.js";
import { awake, type Connected, poolKey } from "./pool.js";
import { type HostArgs, hostName } from "./target.js";
import { runScript } from "./worker/scripts.js";
import type { Worker } from "./worker/worker.js";

export { closeAllHosts } from "./pool.js";

export interface ConnectOptions {
  /** That of the run. */
  world: World;
  /** Gives up waiting for the connection, not the connection itself: others may wait for it too. */
  stop?: AbortSignal;
}

/**
 * A connected host of a world. When the connection breaks, what waits for it fails at once, and the next question connects again.
 * The connection is closed after a minute of silence and does not keep the process alive.
 * @throws UserError if the host key or the credentials are refused
 * @throws UnreachableError if the host does not answer
 */
export function connectHost(target: HostArgs, credentials: Credentials, options: ConnectOptions): Promise<Host> {
  return options.world.one(Hosts).connect(target, credentials, options);
}

/** The hosts of a world. A simulated one has others, by a subclass. */
export class Hosts {
  /** By who signs in where, and how: all who mean the same get the same one, so that they can share what they ask of it. */
  readonly #known = new Map<string, PooledHost>();

  async connect(target: HostArgs, credentials: Credentials, { world, stop }: ConnectOptions): Promise<Host> {
    const key = [target.privilege, poolKey(target, credentials), target.stateDirectory].join(" ");
    const host = this.#known.get(key) ?? new PooledHost(target, { world, connected: () => awake(target, credentials) });
    this.#known.set(key, host);
    await unlessStopped(awake(target, credentials), host.name, stop);
    return host;
  }
}

class PooledHost implements Host {
  readonly name: string;
  readonly world: World;
  readonly stateDirectory: string;

  readonly #privilege: HostArgs["privilege"];
  readonly #user: string;
  readonly #connected: () => Promise<Connected>;
  readonly #one = new OneWorker(() => this.#open());

  constructor(target: HostArgs, { world, connected }: { world: World; connected: () => Promise<Connected> }) {
    this.#privilege = target.privilege;
    this.#user = target.user;
    this.#connected = connected;

    this.name = hostName(target);
    this.world = world;
    this.stateDirectory = target.stateDirectory ?? "/var/lib/pulumi-livedisk";
  }

  async run(script: string, args: readonly string[] = [], options: RunOptions = {}): Promise<Finished> {
    await this.worker(); // first: where it has ended in the middle of a run, no connection is made either
    const { running } = await this.#connected();
    return running.one(async () => runScript(await this.worker(), { script, args }, options));
  }

  async open(script: string, args: readonly string[] = []): Promise<Conversation> {
    return new ScriptConversation(await this.worker(), { script, args });
  }

  worker(): Promise<Worker> {
    return this.#one.now();
  }

  withOneWorker<T>(work: (worker: Worker) => Promise<T>): Promise<T> {
    return this.#one.during(work);
  }

  async #open(): Promise<Worker> {
    const { connection, sessions, workers } = await this.#connected();
    return workers.of(this.#privilege, () => openWorker({ connection, sessions, user: this.#user, privilege: this.#privilege }));
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

/** One SSH connection: signing in, channels, keeping it alive, and its end. */

import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { Client, type ClientChannel, type ConnectConfig } from "ssh2";
import type { Credentials } from "../core/credentials.js";
import { messageOf, UnreachableError } from "../core/errors.js";
import { authHandler, isAboutOneKey } from "./attempts.js";
import { type SignIn, signInOf } from "./credentials.js";
import { type HostKeyCheck, hostKeyCheck } from "./host-key.js";
import { connectionRefused } from "./refusals.js";
import { hostName, type SignInArgs } from "./target.js";
import { Waits } from "./waits.js";

const connectSeconds = 20;
const channelSeconds = 20;
const keepalivesMissed = 3;

type ChannelCallback = (failure: Error | undefined, channel: ClientChannel) => void;

export interface ConnectionOptions {
  /** The jump host's connection, where there is one. */
  through?: SshConnection | undefined;
  /** Closes it, also while it is being opened. */
  giveUp?: AbortSignal;
  /**
   * How often it is asked whether it is alive; three questions without an answer are its end.
   * @default 10
   */
  keepaliveSeconds?: number;
}

export class SshConnection {
  readonly waits = new Waits();
  readonly #client = new Client();
  #lastFailure: unknown;
  #isEnded = false;

  private constructor(readonly name: string) {}

  /**
   * @throws UserError if the host key or the credentials are refused
   * @throws UnreachableError if the host does not answer in 20 s
   *
   * @host sshd's forwarding
   * @for connection
   * @does asks the sshd of the jump host for a TCP stream to the next host; only with `jump`
   * @changes nothing
   * @as the account that signs in on the jump host
   * @why the host is reached through the jump host
   */
  static async open(target: SignInArgs, credentials: Credentials, options: ConnectionOptions = {}): Promise<SshConnection> {
    const { through, giveUp, keepaliveSeconds = 10 } = options;
    const [check, signIn] = await Promise.all([hostKeyCheck(target), signInOf(target, credentials)]);
    const socket = through ? await through.forwardPort(target.address, target.port) : connect({ host: target.address, port: target.port });
    const connection = new SshConnection(hostName(target));
    giveUp?.addEventListener("abort", () => connection.close(), { once: true });
    try {
      await connection.#signIn(socket, { target, check, signIn });
    } catch (thrown) {
      connection.close();
      socket.destroy();
      throw thrown;
    }
    connection.#keepAlive(keepaliveSeconds);
    return connection;
  }

  /** Runs a command in a session of its own. ssh2's words when sshd refuses one: see {@link refusal}. */
  exec(command: string): Promise<ClientChannel> {
    return this.#channel((opened) => this.#client.exec(command, opened));
  }

  /** A stream to another host, as a jump host gives it. */
  async forwardPort(address: string, port: number): Promise<ClientChannel> {
    try {
      return await this.#channel((opened) => this.#client.forwardOut("127.0.0.1", 0, address, port, opened));
    } catch (cause) {
      if (refusal(cause) === undefined) throw cause;
      const advice = "Check that it can reach it, and that its sshd allows AllowTcpForwarding.";
      throw new UnreachableError(
        `Unable to reach ${hostName({ address, port })} through the jump host ${this.name}: ${messageOf(cause)}. ${advice}`,
        { cause },
      );
    }
  }

  /** Ends it; all that waits for it is told so. */
  close(): void {
    this.waits.breakAll(new UnreachableError(`The connection to ${this.name} was closed. Run \`pulumi up\` again.`));
    this.#client.end();
  }

  /** Ends it and waits until its socket is closed. */
  async end(): Promise<void> {
    const ended = new Promise<void>((resolve) => this.onEnd(resolve));
    this.close();
    if (!this.#isEnded) await ended;
  }

  /** Calls back once, when it has ended for whatever reason. */
  onEnd(listener: () => void): void {
    this.#client.once("close", listener);
  }

  #channel(open: (opened: ChannelCallback) => void): Promise<ClientChannel> {
    const late = () =>
      new UnreachableError(
        `Unable to open a channel to ${this.name}: no answer within ${channelSeconds} s. Check the host and the network.`,
      );
    return this.waits.wait<ClientChannel>(channelSeconds, late, ({ resolve, reject }) =>
      open((failure, channel) => (failure ? reject(this.waits.broken ?? failure) : resolve(channel))),
    );
  }

  #signIn(socket: Duplex & { unref?(): void }, { target, check, signIn }: { target: SignInArgs; check: HostKeyCheck; signIn: SignIn }) {
    const attempted = { target, signIn, tried: [] as string[], accepted: [] as string[], notes: [] as string[] };
    let refused: Error | undefined;
    const late = () =>
      new UnreachableError(`Unable to connect to ${this.name}: no answer within ${connectSeconds} s. Check the host and the network.`);
    return this.waits.wait<void>(connectSeconds, late, ({ resolve, reject }) => {
      this.#client.on("error", (failure) => {
        this.#lastFailure = failure;
        if (isAboutOneKey(failure, attempted)) attempted.notes.push(messageOf(failure));
        else reject(refused ?? connectionRefused(failure, attempted));
      });
      this.#client.on("close", () => {
        this.#isEnded = true;
        this.waits.breakAll(refused ?? this.#endedBecause());
      });
      this.#client.once("ready", () => resolve());
      const hostVerifier = (key: Buffer) => {
        refused = check.refusal(key);
        return refused === undefined;
      };
      this.#client.connect({
        ...settings(target, check),
        sock: socket,
        hostVerifier,
        authHandler: authHandler(signIn.attempts, attempted),
      });
      this.#client.setNoDelay(true); // else small writes wait for the other side's delayed acknowledgement: 44 ms a round trip
      socket.unref?.();
    });
  }

  #endedBecause(): Error {
    const words = this.#lastFailure === undefined ? "the host ended it" : messageOf(this.#lastFailure);
    const advice = "Its state is unknown until it is reached again: run `pulumi up` again.";
    return new UnreachableError(`The connection to ${this.name} broke: ${words}. ${advice}`, { cause: this.#lastFailure });
  }

  /**
   * ssh2's own keepalive holds the process alive by its timer. So we ask ourselves: to end a forwarding that does not exist is a question
   * that every server answers and that changes nothing (RFC 4254 section 7.1).
   */
  #keepAlive(seconds: number): void {
    let unanswered = 0;
    const timer = setInterval(() => {
      if (unanswered >= keepalivesMissed) {
        this.#lastFailure = new Error(`no answer for ${(unanswered * seconds).toFixed(seconds < 1 ? 1 : 0)} s`);
        this.waits.breakAll(this.#endedBecause());
        this.#client.destroy();
        return;
      }
      unanswered++;
      try {
        this.#client.unforwardIn("livedisk-keepalive", 0, () => {
          unanswered = 0;
        });
      } catch {
        // It has just ended; "close" follows and says so.
      }
    }, seconds * 1000);
    timer.unref();
    this.onEnd(() => clearInterval(timer));
  }
}

/** The server's reason for not opening a channel, or undefined if this is another error. @see RFC 4254 section 5.1 */
export function refusal(thrown: unknown): "prohibited" | "failed" | undefined {
  if (!(thrown instanceof Error && "reason" in thrown)) return undefined;
  return thrown.reason === 1 || thrown.reason === 3 ? "prohibited" : "failed";
}

function settings({ user }: SignInArgs, { algorithms }: HostKeyCheck): ConnectConfig {
  return { username: user, readyTimeout: 0, keepaliveInterval: 0, ...(algorithms && { algorithms: { serverHostKey: algorithms } }) };
}

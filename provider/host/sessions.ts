/** Sessions on one connection: sshd allows a few (MaxSessions), and we take one for each privilege. */

import { setTimeout as wait } from "node:timers/promises";
import type { ClientChannel } from "ssh2";
import { UnreachableError, UserError } from "../core/errors.js";
import { refusal, type SshConnection } from "./ssh-connection.js";

const waitSeconds = 60;
/** sshd frees a session only when its program has ended, of which it tells us nothing: so after a refusal we ask again. */
const retrySeconds = 0.25;

export class Sessions {
  #taken = 0;
  #hasOpened = false;
  /** The one in front asks, the others stand behind it. */
  #line: Promise<void> = Promise.resolve();

  readonly #connection: SshConnection;

  constructor(connection: SshConnection) {
    this.#connection = connection;
  }

  /** @throws UnreachableError if no session comes free in 60 s */
  async take(command: string): Promise<ClientChannel> {
    const deadline = Date.now() + waitSeconds * 1000;
    const before = this.#line;
    let leave: () => void = () => {};
    this.#line = Promise.all([before, new Promise<void>((resolve) => (leave = resolve))]).then(() => {});
    try {
      await this.#connection.waits.wait<void>(
        waitSeconds,
        () => this.#tooFew(),
        ({ resolve }) => void before.then(resolve),
      );
      for (;;) {
        const channel = await this.#attempt(command);
        if (channel) return channel;
        if (Date.now() > deadline) throw this.#tooFew();
        await wait(1000 * retrySeconds);
      }
    } finally {
      leave();
    }
  }

  /** One try. @returns undefined if sshd refuses for now */
  async #attempt(command: string): Promise<ClientChannel | undefined> {
    this.#taken++;
    try {
      const channel = await this.#connection.exec(command);
      this.#hasOpened = true;
      channel.once("close", () => this.#taken--);
      return channel;
    } catch (cause) {
      this.#taken--;
      if (refusal(cause) === undefined) throw cause;
      if (this.#hasOpened) return undefined;
      const advice = "Allow sessions for this account in its sshd_config (MaxSessions above 0).";
      throw new UserError(`Unable to run commands on ${this.#connection.name}: its sshd refuses every session. ${advice}`, { cause });
    }
  }

  #tooFew(): Error {
    return new UnreachableError(
      `Unable to open a session on ${this.#connection.name}: none came free within ${waitSeconds} s, ${this.#taken} are in use. Raise MaxSessions in its sshd_config (10 is sshd's own default).`,
    );
  }
}

/** A host that is far away: a way to its sshd on which every byte that is sent while `away` is under way for a while, in each direction. */

import net from "node:net";
import { setTimeout as wait } from "node:timers/promises";

export class FarHost implements AsyncDisposable {
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  /** What is sent from now on is under way for `delayMs`. */
  away = false;

  private constructor(
    private readonly port: number,
    private readonly delayMs: number,
  ) {
    this.#server = net.createServer((near) => this.#join(near));
  }

  /** @param delayMs one way */
  static async listen(port: number, delayMs: number): Promise<FarHost> {
    const far = new FarHost(port, delayMs);
    await new Promise<void>((resolve, reject) => {
      far.#server.once("error", reject);
      far.#server.listen(0, "127.0.0.1", resolve);
    });
    return far;
  }

  /** Where it is reached. */
  get far(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("The far host does not listen.");
    return address.port;
  }

  #join(near: net.Socket): void {
    const host = net.connect(this.port, "127.0.0.1");
    for (const socket of [near, host]) {
      socket.setNoDelay(true).on("error", () => undefined);
      this.#sockets.add(socket);
    }
    this.#carry(near, host);
    this.#carry(host, near);
  }

  /** In order: each waits for the one before it. */
  #carry(from: net.Socket, to: net.Socket): void {
    let last = Promise.resolve();
    const later = (act: () => void) => {
      const [before, due] = [last, this.away ? wait(this.delayMs) : undefined];
      last = (async () => {
        await Promise.all([before, due]);
        if (!to.destroyed) act();
      })();
    };
    from.on("data", (bytes: Buffer) => later(() => to.write(bytes)));
    from.on("end", () => later(() => to.end()));
    from.on("close", () => this.#sockets.delete(from));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

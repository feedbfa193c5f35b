/** A network of its own for a client, so that its packets can vanish. Making it wants root. */

import { run } from "./command.js";

/** A namespace and a cable to it. Cut, packets vanish in both directions, and nobody is told. */
export class Network implements AsyncDisposable {
  static #count = 0;

  private constructor(
    readonly name: string,
    /** The host's address as the runner sees it. */
    readonly here: string,
  ) {}

  static async open(): Promise<Network> {
    const number = (process.pid * 8 + Network.#count++) % 16_000;
    const network = new Network(`ld${number}`, address(number, 1));
    try {
      await run("ip", ["netns", "add", network.name]);
      await run("ip", ["link", "add", network.name, "type", "veth", "peer", "name", "cable", "netns", network.name]);
      await run("ip", ["address", "add", `${network.here}/30`, "dev", network.name]);
      await run("ip", ["link", "set", network.name, "up"]);
      const inside = ["-n", network.name];
      await run("ip", [...inside, "address", "add", `${address(number, 2)}/30`, "dev", "cable"]);
      for (const device of ["lo", "cable"]) await run("ip", [...inside, "link", "set", device, "up"]);
      return network;
    } catch (reason) {
      await network[Symbol.asyncDispose]();
      throw reason;
    }
  }

  /** The beginning of a command line: what follows runs at the other end of the cable. */
  get words(): string[] {
    return ["ip", "netns", "exec", this.name];
  }

  /** On the runner's side, so that the host learns nothing by its own end of the cable. */
  async cut(): Promise<void> {
    await run("ip", ["-n", this.name, "address", "flush", "dev", "cable"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run("ip", ["link", "delete", this.name]).catch(() => {});
    await run("ip", ["netns", "delete", this.name]).catch(() => {});
  }
}

/** Of a network of four addresses in 198.18.0.0/15, which is for tests of devices (RFC 2544). */
function address(number: number, host: number): string {
  const all = number * 4 + host;
  return `198.18.${Math.floor(all / 256)}.${all % 256}`;
}

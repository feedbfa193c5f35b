/** The virsh of a host: one for each URI in this process, whoever asks; closed when nobody has asked for a while. */

import type { Host } from "../../host/host.js";
import { type Reply, VirshSession } from "./virsh-session.js";

/** It holds one of the host's few sessions, but no guest's monitor: so it may stay longer than a QMP session. */
const idleSeconds = 5;

export class Virsh {
  #session: Promise<VirshSession> | undefined;
  #users = 0;
  /** Keeps it from being closed for idleness. */
  #keep = () => {};

  constructor(
    readonly host: Host,
    readonly uri: string,
  ) {}

  /** Sends all commands in one write. @throws UnreachableError if virsh or libvirtd does not answer */
  async ask(commands: readonly string[]): Promise<Reply[]> {
    this.#keep();
    this.#users++;
    try {
      const session = await this.#open();
      return await session.ask(commands);
    } finally {
      this.#users--;
      if (this.#users === 0) this.#rest();
    }
  }

  /** Ends virsh as soon as nobody uses it: the next question opens it again. */
  close(): void {
    if (this.#users > 0) return;
    this.#keep();
    const session = this.#session;
    this.#session = undefined;
    session?.then(
      (open) => open.close(),
      () => {},
    );
  }

  async #open(): Promise<VirshSession> {
    const standing = await this.#session?.catch(() => undefined);
    if (standing && !standing.isOver) return standing;
    this.#session = VirshSession.open(this.host, this.uri);
    return this.#session;
  }

  #rest(): void {
    this.#keep = this.host.world.after(idleSeconds, () => this.close());
  }
}

/** Those of a world. */
class AllVirsh {
  /** By place and URI. */
  readonly known = new Map<string, Virsh>();
  readonly places = new WeakMap<Host, Promise<string>>();
  untold = 0;
}

/**
 * What makes two ways to a host the same for libvirt: kernel, namespaces and user. Addresses and names are not unique.
 *
 * @host cat, readlink, stat, id
 * @for reading
 * @does reads the boot id, the namespaces, the root directory and the user id
 * @changes nothing
 * @as the account
 * @why two ways to one libvirt share one virsh
 */
const place = `cat /proc/sys/kernel/random/boot_id
for space in mnt net uts; do readlink "/proc/self/ns/$space"; done
stat -L -c %d:%i / ; id -u`;
const placeLines = 6;

/** A host that does not tell all of it may be any: it shares its virsh with no other. */
function placeIn(stdout: string, all: AllVirsh): string {
  const told = stdout.split("\n").filter((line) => line !== "");
  return told.length === placeLines ? stdout : `untold ${++all.untold}`;
}

/** The one virsh for this URI of the host at the end of this way. */
export async function virshAt(host: Host, uri: string): Promise<Virsh> {
  const all = host.world.one(AllVirsh);
  const asked = all.places.get(host) ?? host.run(place).then(({ stdout }) => placeIn(stdout, all));
  all.places.set(host, asked);
  asked.catch(() => all.places.delete(host));
  const key = `${await asked}\0${uri}`;
  const virsh = all.known.get(key) ?? new Virsh(host, uri);
  all.known.set(key, virsh);
  return virsh;
}

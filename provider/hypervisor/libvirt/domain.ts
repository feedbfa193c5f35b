/** One domain of a host: how libvirt is asked about it, and how its refusal is told. */

import { UserError } from "../../core/errors.js";
import type { Host } from "../../host/host.js";
import { type DomainSeen, see } from "./look.js";
import { seeForReport } from "./look-ahead.js";
import { type Virsh, virshAt } from "./virsh.js";

/** By name or UUID, at a URI. */
export interface DomainAddress {
  libvirt: string;
  uri: string;
}

export class Domain {
  #reaching: Promise<Virsh> | undefined;

  constructor(
    readonly host: Host,
    readonly address: DomainAddress,
    /** For a report, on which no step rests, what was seen a moment ago will do. */
    readonly use: "steps" | "report" = "steps",
  ) {}

  async see(): Promise<DomainSeen> {
    const look = this.use === "report" ? seeForReport : see;
    return look(await this.virsh(), this.address.libvirt);
  }

  async virsh(): Promise<Virsh> {
    this.#reaching ??= virshAt(this.host, this.address.uri);
    this.#reaching.catch(() => {
      this.#reaching = undefined;
    });
    return this.#reaching;
  }

  /** @returns what libvirt says @throws UserError with its words where it refuses */
  async do(what: string, line: string): Promise<string> {
    const [reply] = await (await this.virsh()).ask([line]);
    if (reply && "text" in reply) return reply.text;
    throw this.refusedBy(what, reply?.refused);
  }

  /** In libvirt's own words; undefined where it has not answered at all. */
  refusedBy(what: string, words: string | undefined): UserError {
    return this.refused(what, `libvirt answers "${words ?? "nothing"}"`);
  }

  refused(what: string, why: string): UserError {
    return new UserError(`Unable to ${what} on ${this.host.name}: ${why}.`);
  }
}

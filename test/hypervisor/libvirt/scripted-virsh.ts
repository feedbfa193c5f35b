/** A virsh that answers as it is told, without a host. */

import type { World } from "../../../provider/core/world.js";
import type { Host } from "../../../provider/host/host.js";
import { Domain } from "../../../provider/hypervisor/libvirt/domain.js";
import type { DomainSeen } from "../../../provider/hypervisor/libvirt/look.js";
import { Virsh } from "../../../provider/hypervisor/libvirt/virsh.js";
import type { Reply } from "../../../provider/hypervisor/libvirt/virsh-session.js";
import { thisWorld } from "../../world.js";

const nowhere = (world: World): Host => ({
  name: "db-3",
  world,
  stateDirectory: "/nowhere",
  run: () => Promise.reject(new Error("no commands here")),
  open: () => Promise.reject(new Error("no conversations here")),
  worker: () => Promise.reject(new Error("no worker here")),
  withOneWorker: () => Promise.reject(new Error("no worker here")),
});

/** By the words with which a command begins: its answer; a text is one that is not refused. */
export type Answers = Readonly<Record<string, Reply | string>>;

export class ScriptedVirsh extends Virsh {
  constructor(
    private readonly answers: Answers,
    world: World = thisWorld,
  ) {
    super(nowhere(world), "qemu:///system");
  }

  override async ask(commands: readonly string[]): Promise<Reply[]> {
    return commands.map((command) => {
      const found = Object.entries(this.answers).find(([start]) => command.startsWith(start));
      if (!found) throw new Error(`Nobody has said what is answered to ${command}.`);
      return typeof found[1] === "string" ? { text: found[1] } : found[1];
    });
  }
}

/** One that is seen as it is told. */
export class ScriptedDomain extends Domain {
  constructor(
    private readonly scripted: Virsh,
    private readonly seen: DomainSeen,
  ) {
    super(scripted.host, { libvirt: seen.live.name, uri: scripted.uri });
  }

  override async see(): Promise<DomainSeen> {
    return this.seen;
  }

  override async virsh(): Promise<Virsh> {
    return this.scripted;
  }
}

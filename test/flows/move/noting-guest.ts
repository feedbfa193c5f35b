/** A guest without a QEMU: it notes what it is asked, and answers as a test says. */

import type { Host } from "../../../provider/host/host.js";
import type {
  BlockGraph,
  CommitOptions,
  FreezingDisk,
  Guest,
  GuestDisk,
  GuestView,
  MirrorOptions,
  MirrorTarget,
  PullOptions,
} from "../../../provider/hypervisor/hypervisor.js";
import { libvirtTraits } from "../../../provider/hypervisor/libvirt/guest.js";
import { type Carrier, Switching } from "../../../provider/hypervisor/libvirt/switching.js";
import * as steps from "../../../provider/hypervisor/qemu/block-steps.js";
import { qemuTraits } from "../../../provider/hypervisor/qemu/guest.js";

/** What a test may answer for: a guest, its block graph, and what carries out libvirt's switches. */
export interface Asked extends Omit<Guest, "switch">, BlockGraph, Pick<Carrier, "letGo" | "switch"> {}

export type Answers = Partial<{ [name in keyof Asked]: unknown }>;

/** What a guest with nothing in it answers. */
export const emptyView: GuestView = { domainId: "domain", status: "running", disks: [], jobs: [], nodes: [] };

const noBurdens = { snapshots: [], checkpoints: [], jobs: [], forbids: [] };

const usual: Answers = {
  name: "web",
  address: "web",
  forReport: undefined,
  look: () => emptyView,
  blockers: () => [],
  burdens: () => noBurdens,
  staying: () => [],
  closeNodes: () => [],
  missingFeatures: () => [],
  jobs: () => [],
  serials: () => [],
};

export interface Noting {
  guest: Guest;
  /** Each question in a line: its name, and its arguments as JSON. */
  asked: string[];
}

/**
 * Over QMP: what takes several commands is made of these, as for a real one.
 * @param answers what it is, and what each method returns, or a function that makes it
 */
export function notingGuest(answers: Answers = {}, host?: Host): Noting {
  const { guest, asked } = noting({ traits: qemuTraits, suspending: undefined, ...usual, ...answers });
  const open = { ...guestsOwn(guest), graph: guest };
  const composed: Record<string, unknown> = {
    graph: guest,
    freeze: (disks: FreezingDisk[]) => steps.freeze(open, disks),
    mirror: (disk: GuestDisk, target: MirrorTarget, options: MirrorOptions) =>
      steps.mirror({ host: host as Host, guest: open }, { disk, target }, options),
    commit: (disk: GuestDisk, options: CommitOptions) => steps.commit(open, disk, options),
    pull: (disk: GuestDisk, options: PullOptions) => steps.pull(open, disk, options),
  };
  const get = (_: object, name: string | symbol) =>
    typeof name === "string" && name in composed && !(name in answers) ? composed[name] : Reflect.get(guest, name);
  return { guest: new Proxy<Guest>(guest, { get }), asked };
}

/** Of libvirt's: `switch` and `letGo` are answered for what carries its switches out. */
export function notingLibvirt({ letGo, switch: switching, ...answers }: Answers = {}, host?: Host): Noting {
  const asked: string[] = [];
  const look = answers.look ?? usual.look;
  const carrier = noting({ look, ...(letGo ? { letGo } : {}), ...(switching ? { switch: switching } : {}) }, asked).guest;
  const suspending = new Switching(host as Host, carrier as unknown as Carrier);
  const switchBy: Guest["switch"] = (request, words) => suspending.switch(request, words);
  const known = { traits: libvirtTraits, suspending, pending: undefined, graph: undefined, ...usual, ...answers };
  const { guest } = noting(known, asked);
  const get = (_: object, name: string | symbol) => (name === "switch" ? switchBy : Reflect.get(guest, name));
  return { guest: new Proxy<Guest>(guest, { get }), asked };
}

function guestsOwn(guest: Guest) {
  return {
    process: () => guest.process(),
    closeNodes: (names: readonly string[]) => guest.closeNodes(names),
    jobs: () => guest.jobs(),
    lookAtChains: () => guest.lookAtChains(),
  };
}

function noting(answers: Answers, asked: string[] = []): { guest: Guest & BlockGraph; asked: string[] } {
  const known = answers as Record<string, unknown>;
  const guest = new Proxy(known, {
    get: (_, name) => {
      if (typeof name === "symbol" || name === "then") return undefined;
      const answer = known[name];
      if (name in known && typeof answer !== "function") return answer;
      return async (...args: unknown[]) => {
        asked.push([name, ...args.map((each) => JSON.stringify(each))].join(" "));
        return typeof answer === "function" ? answer(...args) : undefined;
      };
    },
  });
  return { guest: guest as unknown as Guest & BlockGraph, asked };
}

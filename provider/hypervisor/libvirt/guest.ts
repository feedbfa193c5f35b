/** One guest that libvirt manages. Every method is one step; what has to be true before it is the caller's observation. */

import type { LayerFile } from "../../core/disk/chain-options.js";
import type { Job } from "../../core/disk/job.js";
import type { Host } from "../../host/host.js";
import {
  type Blocker,
  type Burdens,
  type ChainsView,
  type CommitOptions,
  type FreezingDisk,
  type Guest,
  type GuestDisk,
  type GuestProcess,
  type GuestRequests,
  type GuestView,
  type MirrorOptions,
  type MirrorTarget,
  type PullOptions,
  shutOff,
  type Traits,
} from "../hypervisor.js";
import { LibvirtSteps } from "./block-steps.js";
import { blockersIn, sharingIn } from "./blockers.js";
import { burdensOf } from "./burdens.js";
import { Domain, type DomainAddress } from "./domain.js";
import { readDomain } from "./domain-xml.js";
import { allDomains } from "./look.js";
import { mayUse } from "./probe.js";
import { carrierOf, Switching } from "./switching.js";
import { command } from "./words.js";

/** The domain of this name (or UUID) at this URI of the host. Asks nothing yet. */
export function openGuest(host: Host, address: DomainAddress): Guest {
  return guestOf(new Domain(host, address));
}

export function guestOf(domain: Domain): Guest {
  return new LibvirtGuest(domain);
}

export const libvirtTraits: Traits = {
  switching: "suspended",
  failedMirror: "vanishes", // qemuMonitorJSONBlockdevMirror() has no on-target-error
  pulls: "by-disk",
  mirrorsOnto: "empty-file", // qemuDomainBlockCopyValidateMirror(), 9.0
  backingNames: "its-own",
  commitKeeps: "data",
  freezesOnto: "active",
};

/**
 * @host virsh domstate, virsh domjobinfo, virsh dumpxml
 * @for libvirt
 * @does asks for state, jobs and definition
 * @changes nothing
 * @as libvirtd, for the account that asks
 * @why a guest that is migrated or saved, or a shared disk, is not moved
 */
class LibvirtGuest implements Guest {
  readonly name: string;
  readonly address: string;
  readonly traits = libvirtTraits;
  readonly suspending: Switching;
  readonly switch: Guest["switch"] = (request, words) => this.suspending.switch(request, words);
  readonly #domain: Domain;
  readonly #steps: LibvirtSteps;

  constructor(domain: Domain) {
    this.#domain = domain;
    this.#steps = new LibvirtSteps(domain);
    this.name = domain.address.libvirt;
    this.address = JSON.stringify([domain.address.uri, domain.address.libvirt]);
    this.suspending = new Switching(domain.host, carrierOf(domain));
  }

  get forReport(): Guest {
    return new LibvirtGuest(new Domain(this.#domain.host, this.#domain.address, "report"));
  }

  async look(): Promise<GuestView> {
    return (await this.#domain.see()).view;
  }

  lookAtChains(): Promise<ChainsView> {
    return this.look();
  }

  lookForPull(qdev: string): Promise<GuestView> {
    return this.#steps.lookForPull(qdev);
  }

  async jobs(): Promise<readonly Job[]> {
    return (await this.look()).jobs;
  }

  /** Nobody waits for it: libvirt serves many. */
  async awaitTurn(): Promise<void> {}

  close(): void {}

  async missingFeatures(): Promise<readonly string[]> {
    return []; // libvirt asks its QEMU itself, and refuses in words
  }

  /** It is suspended in the switch. */
  async requestsOf(): Promise<GuestRequests> {
    return { wait: "in-guest" };
  }

  async blockers(qdevs: readonly string[]): Promise<readonly Blocker[]> {
    const questions = ["domstate --reason --domain", "domjobinfo --domain", "dumpxml --domain"].map((fixed) => command(fixed, this.name));
    const [state, job, xml] = await (await this.#domain.virsh()).ask(questions);
    const refused = (what: string, words: string | undefined) => this.#domain.refusedBy(`ask for ${what} of ${this.name}`, words);
    if (!state || "refused" in state) throw refused("the state", state?.refused);
    if (!xml || "refused" in xml) throw refused("the definition", xml?.refused);
    const isOff = state.text.trim().startsWith(shutOff); // a domain that does not run has no jobs, and is refused the question
    if (!job || ("refused" in job && !isOff)) throw refused("the jobs", job?.refused);
    return [...blockersIn(state.text, "text" in job ? job.text : ""), ...sharingIn(readDomain(xml.text), qdevs)];
  }

  async burdens(qdev: string): Promise<Burdens> {
    return burdensOf(await this.#domain.virsh(), (await this.#domain.see()).live, qdev);
  }

  async staying(): Promise<readonly string[]> {
    const { live } = await this.#domain.see();
    return live.nvram === undefined ? [] : [`${live.nvram}: the firmware's variables stay where they are`];
  }

  async serials(qdevs: readonly string[]): Promise<readonly (string | undefined)[]> {
    const { live } = await this.#domain.see();
    return qdevs.map((qdev) => live.disks.find(({ target }) => target === qdev)?.serial);
  }

  /** libvirt itself says which file is active, and by its full path: so nobody has to look into the process. */
  async process(): Promise<GuestProcess | undefined> {
    return undefined;
  }

  async nameOf(uuid: string): Promise<string | undefined> {
    return (await allDomains(await this.#domain.virsh())).find((domain) => domain.uuid === uuid)?.name;
  }

  /** Nothing wakes us: a `virsh event` would keep virsh from answering. */
  async wakeUp(timeoutSeconds: number): Promise<void> {
    await this.#domain.host.world.sleep(timeoutSeconds);
  }

  async probe(_node: string, path: string): Promise<void> {
    const { owner } = (await this.#domain.see()).live;
    if (owner) await mayUse(this.#domain.host, path, owner);
  }

  /**
   * libvirt opens nothing for us before the copy begins. Until then an adopted layer is watched by its identity, which is looked at
   * before every step; from then on QEMU has it open.
   */
  async hold(): Promise<void> {}

  freeze(disks: readonly FreezingDisk[]): Promise<void> {
    return this.#steps.freeze(disks);
  }

  mirror(disk: GuestDisk, target: MirrorTarget, options: MirrorOptions): Promise<void> {
    return this.#steps.mirror(disk, target, options);
  }

  commit(disk: GuestDisk, options: CommitOptions): Promise<void> {
    return this.#steps.commit(disk, options);
  }

  pull(disk: GuestDisk, options: PullOptions): Promise<"as-asked" | "absolute"> {
    return this.#steps.pull(disk, options);
  }

  redefine(qdev: string, source: LayerFile & { below?: readonly LayerFile[] }): Promise<void> {
    return this.#steps.redefine(qdev, source);
  }

  cancel(jobId: string): Promise<void> {
    return this.#steps.cancel(jobId);
  }

  setSpeed(jobId: string, maxBytesPerSecond: number): Promise<void> {
    return this.#steps.setSpeed(jobId, maxBytesPerSecond);
  }

  /** libvirt's jobs wait for nobody: they do not stop at an error, and are gone when they have ended. */
  async finalize(): Promise<void> {}

  async resume(): Promise<void> {}

  async dismiss(): Promise<void> {}

  async closeNodes(): Promise<readonly { node: string; why: string }[]> {
    return []; // libvirt opens and closes them
  }
}

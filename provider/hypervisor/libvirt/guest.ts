/** One guest that libvirt manages. Every method is one step; what has to be true before it is the caller's observation. */

import type { Job } from "../../core/disk/job.js";
import { diskKey, jobNamesOf } from "../../core/disk/names.js";
import { BugError, UserError } from "../../core/errors.js";
import type { Host } from "../../host/host.js";
import {
  type Blocker,
  type ChainsView,
  type Guest,
  type GuestProcess,
  type GuestRequests,
  type GuestView,
  type ManagedGuest,
  shutOff,
} from "../hypervisor.js";
import { blockersIn, sharingIn } from "./blockers.js";
import { type DiskXml, type DomainXml, readDomain } from "./domain-xml.js";
import { type DomainSeen, see } from "./look.js";
import { seeForReport } from "./look-ahead.js";
import { openManaged } from "./managed.js";
import { mayUse } from "./probe.js";
import { type Virsh, virshAt } from "./virsh.js";
import { command } from "./words.js";

/** The domain of this name (or UUID) at this URI of the host. Asks nothing yet. */
export function openGuest(host: Host, address: { libvirt: string; uri: string }): Guest {
  return new LibvirtGuest(host, address);
}

/** libvirt holds the monitor: what the same steps do for its guests is in {@link ManagedGuest}. */
const notLibvirts = (): Promise<never> =>
  Promise.reject(new BugError("A step of a QMP monitor was asked of a guest that libvirt manages."));

/** libvirt has at most one job a disk. */
function diskOfJob({ uuid, disks }: DomainXml, jobId: string): DiskXml | undefined {
  return disks.find(({ target }) => jobNamesOf(diskKey(uuid, target)).includes(jobId));
}

/**
 * @host virsh domstate, virsh domjobinfo, virsh dumpxml
 * @for libvirt
 * @does asks for state, jobs and definition
 * @changes nothing
 * @as libvirtd, for the account that asks
 * @why a guest that is migrated or saved, or a shared disk, is not moved
 * @host virsh blockjob
 * @does `--abort` ends a job, `--bandwidth` limits its speed
 * @changes the job of the move; the guest stays where it is
 * @why a move that is undone ends its jobs
 */
class LibvirtGuest implements Guest {
  readonly name: string;
  readonly managed: ManagedGuest;
  #reaching: Promise<Virsh> | undefined;

  readonly #host: Host;
  readonly #address: { libvirt: string; uri: string };
  readonly #use: "steps" | "report";

  constructor(host: Host, address: { libvirt: string; uri: string }, use: "steps" | "report" = "steps") {
    this.#host = host;
    this.#address = address;
    this.#use = use;

    this.name = address.libvirt;
    this.managed = openManaged(
      address.uri,
      () => this.#see(),
      () => this.#virsh(),
    );
  }

  get forReport(): Guest {
    return new LibvirtGuest(this.#host, this.#address, "report");
  }

  async look(): Promise<GuestView> {
    return (await this.#see()).view;
  }

  lookAtChains(): Promise<ChainsView> {
    return this.look();
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
    const questions = ["domstate --reason --domain", "domjobinfo --domain", "dumpxml --domain"].map((fixed) =>
      command(fixed, this.#address.libvirt),
    );
    const [state, job, xml] = await (await this.#virsh()).ask(questions);
    if (!state || "refused" in state) throw this.#refused("ask for the state", state?.refused);
    if (!xml || "refused" in xml) throw this.#refused("ask for the definition", xml?.refused);
    const isOff = state.text.trim().startsWith(shutOff); // a domain that does not run has no jobs, and is refused the question
    if (!job || ("refused" in job && !isOff)) throw this.#refused("ask for the jobs", job?.refused);
    return [...blockersIn(state.text, "text" in job ? job.text : ""), ...sharingIn(readDomain(xml.text), qdevs)];
  }

  async serials(qdevs: readonly string[]): Promise<readonly (string | undefined)[]> {
    const { live } = await this.#see();
    return qdevs.map((qdev) => live.disks.find(({ target }) => target === qdev)?.serial);
  }

  /** libvirt itself says which file is active, and by its full path: so nobody has to look into the process. */
  async process(): Promise<GuestProcess | undefined> {
    return undefined;
  }

  async probe(_node: string, path: string): Promise<void> {
    const { owner } = (await this.#see()).live;
    if (owner) await mayUse(this.#host, path, owner);
  }

  /**
   * libvirt opens nothing for us before the copy begins. Until then an adopted layer is watched by its identity, which is looked at
   * before every step; from then on QEMU has it open.
   */
  async hold(): Promise<void> {}

  /** Synchronous, as virsh does it without `--async`: when it is answered, the copy is gone. @see virsh(1), blockjob */
  async cancel(jobId: string): Promise<void> {
    const { live } = await this.#see();
    const disk = diskOfJob(live, jobId);
    if (!disk) return;
    const { jobs } = await this.managed.lookForPull(disk.target);
    if (jobs.some(({ id }) => id === jobId))
      await this.#do(`end the job on ${disk.target}`, command("blockjob --abort", live.uuid, disk.target));
  }

  async setSpeed(jobId: string, maxBytesPerSecond: number): Promise<void> {
    const { live } = await this.#see();
    const disk = diskOfJob(live, jobId);
    if (disk) await this.#do("change the speed", command(`blockjob --bytes --bandwidth ${maxBytesPerSecond}`, live.uuid, disk.target));
  }

  async closeNodes(): Promise<readonly { node: string; why: string }[]> {
    return []; // libvirt opens and closes them
  }

  /** Nothing wakes us: a `virsh event` would keep virsh from answering. */
  async wakeUp(timeoutSeconds: number): Promise<void> {
    await this.#host.world.sleep(timeoutSeconds);
  }

  openTarget = notLibvirts;
  openOverlay = notLibvirts;
  openLayer = notLibvirts;
  openedChain = notLibvirts;
  reopenOn = notLibvirts;
  layerNodes = notLibvirts;
  freeze = notLibvirts;
  startCommit = notLibvirts;
  startPull = notLibvirts;
  startMirror = notLibvirts;
  finalize = notLibvirts;
  switch = notLibvirts;
  recover = notLibvirts;
  resume = notLibvirts;
  dismiss = notLibvirts;

  async #see(): Promise<DomainSeen> {
    const look = this.#use === "report" ? seeForReport : see;
    return look(await this.#virsh(), this.#address.libvirt);
  }

  async #virsh(): Promise<Virsh> {
    this.#reaching ??= virshAt(this.#host, this.#address.uri);
    this.#reaching.catch(() => {
      this.#reaching = undefined;
    });
    return this.#reaching;
  }

  async #do(what: string, line: string): Promise<void> {
    const [reply] = await (await this.#virsh()).ask([line]);
    if (reply && "text" in reply) return;
    throw this.#refused(what, reply?.refused);
  }

  #refused(what: string, words: string | undefined): UserError {
    return new UserError(`Unable to ${what} of ${this.name} on ${this.#host.name}: libvirt answers "${words ?? "nothing"}".`);
  }
}

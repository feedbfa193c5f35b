/** One guest over QMP. Every method is one step; what has to be true before it is the caller's observation. */

import type { Job } from "../../core/disk/job.js";
import type { Host } from "../../host/host.js";
import type {
  Blocker,
  BlockGraph,
  Burdens,
  ChainsView,
  CommitOptions,
  FreezingDisk,
  Guest,
  GuestDisk,
  GuestProcess,
  GuestRequests,
  GuestView,
  MirrorOptions,
  MirrorTarget,
  Openness,
  PullOptions,
  Traits,
} from "../hypervisor.js";
import { QemuGraph } from "./block-graph.js";
import * as steps from "./block-steps.js";
import { blockersOf } from "./blockers.js";
import { qomPath, requestsOf, serialOf } from "./devices.js";
import { missingFeatures } from "./features.js";
import { lookAtJobs, lookoutOf } from "./look.js";
import { Monitor } from "./monitor.js";
import { holdOptions } from "./node-options.js";
import { closeNodes } from "./open-nodes.js";
import { probe } from "./probe.js";
import { processOf } from "./proc.js";
import type { Way } from "./sessions.js";
import { carrierOf, Switching } from "./switching.js";

/** The guest whose monitor listens on this socket of the host. Asks nothing yet. */
export function openGuest(host: Host, address: { qmp: string }): Guest {
  return new QemuGuest({ host, socket: address.qmp });
}

export const qemuTraits: Traits = {
  switching: "pending",
  failedMirror: "stays",
  pulls: "told",
  mirrorsOnto: "image",
  backingNames: "as-asked",
  commitKeeps: "all",
  freezesOnto: "named",
};

/**
 * @host QMP blockdev-add
 * @for monitor
 * @does opens a layer that is there already at the destination, read-only, while it is compared
 * @changes QEMU's block nodes
 * @as QEMU, as the user that it runs as
 * @why nobody writes to an image that QEMU has open
 * @host QMP job-resume
 * @does lets a stopped job go on
 * @changes the job's target
 * @why a job that an I/O error has stopped goes on once there is room again
 * @host QMP block-job-set-speed
 * @does limits the speed of a job
 * @changes nothing but that
 * @why `maxBytesPerSecond`
 * @host QMP job-finalize, QMP job-cancel, QMP job-dismiss
 * @for switching
 * @does ends a job that a cut run has left, or one that is called off: the guest goes over to its target, or stays
 * @changes which image takes the guest's writes
 * @why an undone move ends its jobs; the switch itself is the worker's
 */
class QemuGuest implements Guest {
  readonly name: string;
  readonly address: string;
  readonly traits = qemuTraits;
  readonly graph: BlockGraph;
  readonly pending: Switching;
  readonly switch: Guest["switch"] = (request, words) => this.pending.switch(request, words);
  readonly #monitor: Monitor;
  readonly #way: Way;

  constructor(way: Way) {
    this.#way = way;
    this.name = way.socket;
    this.address = way.socket;
    this.#monitor = new Monitor(way);
    this.graph = new QemuGraph(this.#monitor, () => this.lookAtChains());
    this.pending = new Switching(way.host, carrierOf(this.#monitor, way.socket));
  }

  async look(): Promise<GuestView> {
    return lookoutOf(await this.#monitor.listen(), this.#way.host.world).everything(this.#way);
  }

  async lookAtChains(): Promise<ChainsView> {
    return lookoutOf(await this.#monitor.reach(), this.#way.host.world).chains(this.#way);
  }

  lookForPull(): Promise<GuestView> {
    return this.look();
  }

  async jobs(): Promise<Job[]> {
    return (await this.#monitor.listen()).use(this.#way, lookAtJobs);
  }

  awaitTurn(seconds: number, stop: AbortSignal): Promise<void> {
    return this.#monitor.awaitTurn(seconds, stop);
  }

  close(): void {
    this.#monitor.close();
  }

  missingFeatures(): Promise<readonly string[]> {
    return missingFeatures(this.#monitor, this.#way.host.world);
  }

  process(): Promise<GuestProcess | undefined> {
    return processOf(this.#monitor, this.#way);
  }

  serials(qdevs: readonly string[]): Promise<readonly (string | undefined)[]> {
    return Promise.all(qdevs.map((qdev) => serialOf(this.#monitor, qdev)));
  }

  requestsOf(qdev: string): Promise<GuestRequests> {
    return requestsOf(this.#monitor, qdev);
  }

  blockers(qdevs: readonly string[]): Promise<readonly Blocker[]> {
    return this.#monitor.use((session) =>
      blockersOf(
        session,
        qdevs.map((qdev) => ({ qdev, path: qomPath(qdev) })),
      ),
    );
  }

  /** Snapshots and checkpoints of a whole guest are libvirt's; what a device forbids, {@link blockers} tells. */
  async burdens(): Promise<Burdens> {
    return { snapshots: [], checkpoints: [], jobs: [], forbids: [] };
  }

  /** Its disks are all that it is asked about. */
  async staying(): Promise<readonly string[]> {
    return [];
  }

  /** A monitor has no name but its socket's. */
  async nameOf(): Promise<undefined> {
    return undefined;
  }

  probe(node: string, path: string, cache: Openness["cache"]): Promise<void> {
    return probe(this.#monitor, { guest: this.name, node, path, cache });
  }

  hold(node: string, path: string, format: string): Promise<void> {
    return this.#do("blockdev-add", holdOptions(node, path, format));
  }

  freeze(disks: readonly FreezingDisk[]): Promise<void> {
    return steps.freeze(this, disks);
  }

  mirror(disk: GuestDisk, target: MirrorTarget, options: MirrorOptions): Promise<void> {
    return steps.mirror({ host: this.#way.host, guest: this }, { disk, target }, options);
  }

  commit(disk: GuestDisk, options: CommitOptions): Promise<void> {
    return steps.commit(this, disk, options);
  }

  pull(disk: GuestDisk, options: PullOptions): Promise<"as-asked"> {
    return steps.pull(this, disk, options);
  }

  /** The next start is by a command line, which is nobody's here. */
  async redefine(): Promise<void> {}

  finalize(jobId: string): Promise<void> {
    return this.#do("job-finalize", { id: jobId });
  }

  cancel(jobId: string): Promise<void> {
    return this.#do("job-cancel", { id: jobId });
  }

  resume(jobId: string): Promise<void> {
    return this.#do("job-resume", { id: jobId });
  }

  dismiss(jobId: string): Promise<void> {
    return this.#do("job-dismiss", { id: jobId });
  }

  setSpeed(jobId: string, maxBytesPerSecond: number): Promise<void> {
    return this.#do("block-job-set-speed", { device: jobId, speed: maxBytesPerSecond });
  }

  closeNodes(names: readonly string[]): Promise<readonly { node: string; why: string }[]> {
    return closeNodes(this.#monitor, names);
  }

  wakeUp(timeoutSeconds: number): Promise<void> {
    return this.#monitor.wakeUp(timeoutSeconds);
  }

  #do(command: string, args: object): Promise<void> {
    return this.#monitor.do(command, args);
  }
}

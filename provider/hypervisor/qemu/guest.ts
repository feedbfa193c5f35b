/** One guest over QMP. Every method is one step; what has to be true before it is the caller's observation. */

import type { z } from "zod";
import type { LayerFile } from "../../core/disk/chain-options.js";
import type { Job } from "../../core/disk/job.js";
import type { Host } from "../../host/host.js";
import type { PlannedSwitch, SwitchResult } from "../../host/worker/switching.js";
import type { CollapseOptions, MirrorOptions, TargetOptions } from "../block-steps.js";
import type { Blocker, ChainsView, Guest, GuestProcess, GuestRequests, GuestView, ImageView } from "../hypervisor.js";
import { filters } from "./active-node.js";
import { blockersOf } from "./blockers.js";
import { qomPath, requestsOf, serialOf } from "./devices.js";
import { missingFeatures } from "./features.js";
import { chainOf, layerNodes } from "./layer-nodes.js";
import { lookAtJobs, lookoutOf } from "./look.js";
import { Monitor } from "./monitor.js";
import {
  commitArguments,
  holdOptions,
  layerOptions,
  mirrorArguments,
  overlayOptions,
  pullArguments,
  reopenOptions,
  targetOptions,
} from "./node-options.js";
import { closeNodes } from "./open-nodes.js";
import { probe } from "./probe.js";
import { processOf } from "./proc.js";
import * as replies from "./replies.js";
import type { Way } from "./sessions.js";

/** The guest whose monitor listens on this socket of the host. Asks nothing yet. */
export function openGuest(host: Host, address: { qmp: string }): Guest {
  return new QemuGuest({ host, socket: address.qmp });
}

/**
 * @host QMP query-named-block-nodes, QMP x-debug-query-block-graph
 * @for monitor
 * @does asks for the block nodes
 * @changes nothing
 * @as QEMU, as the user that it runs as
 * @why the chain that the guest has is what QEMU has open
 * @host QMP blockdev-add, QMP blockdev-reopen
 * @does opens images of the move, opens a target once more on another backing node
 * @changes QEMU's block nodes
 * @why mirrors and overlays are nodes
 * @host QMP transaction
 * @does `blockdev-snapshot`: puts an overlay on every disk that is named, at one point in time
 * @changes the guest writes to the overlays from then on
 * @why strategy `snapshot` and MirroredSnapshot begin so
 * @host QMP blockdev-mirror, QMP block-commit, QMP block-stream, QMP block-job-set-speed, QMP job-resume
 * @does starts a job that copies or flattens, limits its speed, lets a stopped one go on
 * @changes the job's target: the new image, the image below an overlay, or the image above a base
 * @why the copying of what the guest writes to is QEMU's work
 * @host QMP job-finalize, QMP job-cancel, QMP job-dismiss
 * @for switching
 * @does ends a job that a cut run has left, or one that is called off: the guest goes over to its target, or stays
 * @changes which image takes the guest's writes
 * @why an undone move ends its jobs; the switch itself is the worker's
 */
class QemuGuest implements Guest {
  readonly name: string;
  readonly #monitor: Monitor;

  readonly #way: Way;

  constructor(way: Way) {
    this.#way = way;

    this.name = way.socket;
    this.#monitor = new Monitor(way);
  }

  async look(): Promise<GuestView> {
    return lookoutOf(await this.#monitor.listen(), this.#way.host.world).everything(this.#way);
  }

  async lookAtChains(): Promise<ChainsView> {
    return lookoutOf(await this.#monitor.reach(), this.#way.host.world).chains(this.#way);
  }

  async jobs(): Promise<Job[]> {
    return (await this.#monitor.listen()).use(this.#way, lookAtJobs);
  }

  switch(plan: PlannedSwitch): Promise<SwitchResult> {
    return this.#monitor.use((session) => session.switch({ ...plan, socket: this.#way.socket, filters }));
  }

  recover(plan: PlannedSwitch): Promise<SwitchResult> {
    return this.#monitor.use((session) => session.recover({ ...plan, socket: this.#way.socket, filters }));
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

  probe(node: string, path: string, cache: TargetOptions["cache"]): Promise<void> {
    return probe(this.#monitor, { guest: this.name, node, path, cache });
  }

  hold(node: string, path: string, format: string): Promise<void> {
    return this.#do("blockdev-add", holdOptions(node, path, format));
  }

  openTarget(node: string, options: TargetOptions): Promise<void> {
    return this.#do("blockdev-add", targetOptions(node, options));
  }

  openOverlay(node: string, options: TargetOptions): Promise<void> {
    return this.#do("blockdev-add", overlayOptions(node, options));
  }

  openLayer(node: string, options: TargetOptions): Promise<void> {
    return this.#do("blockdev-add", layerOptions(node, options));
  }

  reopenOn(node: string, options: TargetOptions & { backing: string }): Promise<void> {
    return this.#do("blockdev-reopen", { options: [reopenOptions(node, options)] });
  }

  async openedChain(node: string): Promise<readonly LayerFile[]> {
    const nodes = await this.#ask("query-named-block-nodes", replies.nodes);
    return chainOf(node, nodes);
  }

  async layerNodes(top: string): Promise<readonly string[]> {
    const [graph, nodes] = await Promise.all([
      this.#ask("x-debug-query-block-graph", replies.graph),
      this.#ask("query-named-block-nodes", replies.nodes, { flat: true }),
    ]);
    return layerNodes(top, graph, nodes);
  }

  freeze(pairs: readonly { node: string; overlay: string }[]): Promise<void> {
    return this.#do("transaction", { actions: pairs.map((data) => ({ type: "blockdev-snapshot", data })) });
  }

  async startMirror(job: string, target: string, filter: string, options: MirrorOptions): Promise<void> {
    await this.#do("blockdev-mirror", mirrorArguments({ job, target, filter }, options, await this.#images()));
  }

  async startCommit(job: string, filter: string, options: CollapseOptions & { base: string }): Promise<void> {
    await this.#do("block-commit", commitArguments({ job, filter }, options, await this.#images()));
  }

  async startPull(job: string, filter: string, options: CollapseOptions): Promise<void> {
    await this.#do("block-stream", pullArguments({ job, filter }, options));
  }

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

  async #images(): Promise<ImageView[]> {
    const { disks } = await this.lookAtChains();
    return disks.flatMap(({ medium }) => (medium.kind === "image" ? [medium] : []));
  }

  #ask<S extends z.ZodType>(command: string, shape: S, args: object = {}): Promise<z.output<S>> {
    return this.#monitor.ask(command, shape, args);
  }

  #do(command: string, args: object): Promise<void> {
    return this.#monitor.do(command, args);
  }
}

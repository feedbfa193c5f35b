/** The block graph of one QEMU, node by node. */

import type { z } from "zod";
import type { LayerFile } from "../../core/disk/chain-options.js";
import type { BlockGraph, ChainsView, CollapseOptions, CommitNodes, ImageView, MirrorOptions, TargetOptions } from "../hypervisor.js";
import { chainOf, layerNodes } from "./layer-nodes.js";
import type { Monitor } from "./monitor.js";
import {
  commitArguments,
  layerOptions,
  mirrorArguments,
  overlayOptions,
  pullArguments,
  reopenOptions,
  targetOptions,
} from "./node-options.js";
import * as replies from "./replies.js";

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
 * @host QMP blockdev-mirror, QMP block-commit, QMP block-stream
 * @does starts a job that copies or flattens
 * @changes the job's target: the new image, the image below an overlay, or the image above a base
 * @why the copying of what the guest writes to is QEMU's work
 */
export class QemuGraph implements BlockGraph {
  readonly #monitor: Monitor;
  readonly #look: () => Promise<ChainsView>;

  constructor(monitor: Monitor, look: () => Promise<ChainsView>) {
    this.#monitor = monitor;
    this.#look = look;
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

  snapshot(pairs: readonly { node: string; overlay: string }[]): Promise<void> {
    return this.#do("transaction", { actions: pairs.map((data) => ({ type: "blockdev-snapshot", data })) });
  }

  async startMirror(names: { job: string; target: string; filter: string }, options: MirrorOptions): Promise<void> {
    await this.#do("blockdev-mirror", mirrorArguments(names, options, await this.#images()));
  }

  async startCommit(job: string, filter: string, options: CommitNodes): Promise<void> {
    await this.#do("block-commit", commitArguments({ job, filter }, options));
  }

  async startPull(job: string, filter: string, options: CollapseOptions): Promise<void> {
    await this.#do("block-stream", pullArguments({ job, filter }, options));
  }

  async #images(): Promise<ImageView[]> {
    const { disks } = await this.#look();
    return disks.flatMap(({ medium }) => (medium.kind === "image" ? [medium] : []));
  }

  #ask<S extends z.ZodType>(command: string, shape: S, args: object = {}): Promise<z.output<S>> {
    return this.#monitor.ask(command, shape, args);
  }

  #do(command: string, args: object): Promise<void> {
    return this.#monitor.do(command, args);
  }
}

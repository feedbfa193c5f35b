/** One guest over QMP. Every method is one step; what has to be true before it is the caller's observation. */

import type { z } from "zod";
import type { Job } from "../../disk/job.js";
import { UserError } from "../../errors.js";
import type { Host } from "../../host/host.js";
import type { ChainsView, Guest, GuestProcess, GuestView, MirrorOptions, TargetOptions } from "../hypervisor.js";
import { missingFrom } from "./features.js";
import { type Lookout, lookAtJobs, lookoutOf } from "./look.js";
import { holdOptions, probeOptions, targetOptions } from "./node-options.js";
import { processBehind } from "./proc.js";
import { QmpRefusal } from "./refusal.js";
import { oncePerSession } from "./remember.js";
import * as replies from "./replies.js";
import { type Channel, channelTo } from "./sessions.js";

/** The guest whose monitor listens on this socket of the host. Asks nothing yet. */
export function openGuest(host: Host, address: { qmp: string }): Guest {
  return new QemuGuest(channelTo(host, address.qmp));
}

const missing = oncePerSession(async (session) => missingFrom(await session.call("query-qmp-schema", replies.schema)));

class QemuGuest implements Guest {
  readonly name: string;
  readonly guardSocket: string;
  readonly #lookout: Lookout;
  #heardAtLastLook = -1;

  constructor(private readonly channel: Channel) {
    this.name = channel.socket;
    this.guardSocket = channel.socket;
    this.#lookout = lookoutOf(channel);
  }

  look(): Promise<GuestView> {
    this.#heardAtLastLook = this.channel.heard;
    return this.#lookout.everything();
  }

  lookAtChains(): Promise<ChainsView> {
    return this.#lookout.chains();
  }

  jobs(): Promise<Job[]> {
    this.#heardAtLastLook = this.channel.heard;
    return this.channel.use(lookAtJobs);
  }

  close(): void {
    this.channel.close();
  }

  missingFeatures(): Promise<readonly string[]> {
    return this.channel.use(missing);
  }

  process(): Promise<GuestProcess | undefined> {
    return processBehind(this.channel.host, this.channel.socket);
  }

  async findBySerial(serial: string): Promise<string | undefined> {
    const drives = await this.#ask("query-block", replies.drives);
    const qdevs = drives.flatMap(({ qdev }) => (qdev === undefined ? [] : [qdev]));
    const serials = await Promise.all(qdevs.map((qdev) => this.#serialOf(qdev)));
    const found = qdevs.filter((_, index) => serials[index] === serial);
    if (found.length <= 1) return found[0];
    throw new UserError(
      `Unable to tell which disk of ${this.name} has the serial number "${serial}": ${found.join(" and ")} do. Name one of these.`,
    );
  }

  async probe(node: string, path: string, cache: TargetOptions["cache"]): Promise<void> {
    await this.closeNodes([node]); // one that a run left which was killed in between
    try {
      await this.#do("blockdev-add", probeOptions(node, path, cache));
    } catch (cause) {
      if (!(cause instanceof QmpRefusal)) throw cause;
      const advice = "Let QEMU's user write there; AppArmor, SELinux or a mount namespace of its own may forbid it too.";
      throw new UserError(`Unable to use ${path} from the guest ${this.name}: its QEMU answers "${cause.words}". ${advice}`, { cause });
    }
    const [left] = await this.closeNodes([node]);
    if (left) throw new UserError(`Unable to close the probe ${path} in the guest ${this.name}: QEMU answers "${left.why}".`);
  }

  hold(node: string, path: string, format: string): Promise<void> {
    return this.#do("blockdev-add", holdOptions(node, path, format));
  }

  openTarget(node: string, options: TargetOptions): Promise<void> {
    return this.#do("blockdev-add", targetOptions(node, options));
  }

  async startMirror(jobId: string, target: string, filter: string, options: MirrorOptions): Promise<void> {
    await this.#do("blockdev-mirror", {
      "job-id": jobId,
      ...(await this.#mirrored(options.source)),
      target,
      sync: options.sync,
      "copy-mode": options.copyMode,
      speed: options.maxBytesPerSecond,
      "filter-node-name": filter,
      "on-source-error": "stop",
      "on-target-error": "stop",
      "auto-finalize": false,
      "auto-dismiss": false,
    });
  }

  complete(jobId: string): Promise<void> {
    return this.#do("job-complete", { id: jobId });
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

  async closeNodes(names: readonly string[]): Promise<readonly { node: string; why: string }[]> {
    const left: { node: string; why: string }[] = [];
    for (const node of names) {
      if (!(await this.#has(node))) continue;
      try {
        await this.#do("blockdev-del", { "node-name": node });
      } catch (refusal) {
        if (!(refusal instanceof QmpRefusal)) throw refusal;
        if (await this.#has(node)) left.push({ node, why: refusal.words });
      }
    }
    return left;
  }

  async wakeUp(timeoutSeconds: number): Promise<void> {
    if (this.channel.heard === this.#heardAtLastLook) await this.#nextWord(timeoutSeconds);
    this.#heardAtLastLook = this.channel.heard;
  }

  /**
   * A mirror starts only at a root node ("Need a root block node": qmp_get_root_bs() in blockdev.c, QEMU 7.2), so with a filter above the
   * active image it starts at the filter and replaces the image below it.
   */
  async #mirrored(source: string): Promise<{ device: string; replaces?: string }> {
    const { disks } = await this.lookAtChains();
    const images = disks.flatMap(({ medium }) => (medium.kind === "image" ? [medium] : []));
    const root = images.find(({ activeNode }) => activeNode === source)?.rootNode ?? source;
    return root === source ? { device: source } : { device: root, replaces: source };
  }

  #nextWord(timeoutSeconds: number): Promise<void> {
    return this.channel.use(async (session) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const deadline = setTimeout(resolve, timeoutSeconds * 1000);
      const ignore = session.listen(resolve);
      await promise;
      clearTimeout(deadline);
      ignore();
    });
  }

  /** Nodes go with their parents, so the list is looked at anew for each. */
  async #has(node: string): Promise<boolean> {
    const nodes = await this.#ask("query-named-block-nodes", replies.nodes, { flat: true });
    return nodes.some((each) => each["node-name"] === node);
  }

  /** A device without such a property, like a floppy drive, has none. */
  async #serialOf(qdev: string): Promise<string | undefined> {
    try {
      return await this.#ask("qom-get", replies.text, { path: qdev, property: "serial" });
    } catch (refusal) {
      if (refusal instanceof QmpRefusal) return undefined;
      throw refusal;
    }
  }

  #ask<S extends z.ZodType>(command: string, shape: S, args: object = {}): Promise<z.output<S>> {
    return this.channel.use((session) => session.call(command, shape, args));
  }

  async #do(command: string, args: object): Promise<void> {
    await this.#ask(command, replies.done, args);
  }
}

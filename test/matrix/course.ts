/** A guest that is moved, then cut off from its power, read, and booted again. */

import assert from "node:assert/strict";
import { mkdir, readlink, rm, symlink } from "node:fs/promises";
import path from "node:path";
import type { Properties } from "../../provider/core/lifecycle.js";
import { type ChainLink, chainOf, checkImage } from "../sandbox/check.js";
import { type DiskOptions, threeLayers } from "../sandbox/disks.js";
import type { GuestDisk } from "../sandbox/guest.js";
import { type QemuRelease, qemuCommand } from "../sandbox/qemu.js";
import { Stage } from "../storage-migration/stage.js";
import type { Variant } from "./variants.js";

export interface Figures {
  /** Records that the guest called safe since the move began, over all disks. */
  acknowledged: number;
  lost: number;
  corrupt: number;
  /** The longest of all disks. */
  pauseMs: number;
}

/** Slow enough for the guest to write in every part of a move; a move takes some seconds. */
const maxBytesPerSecond = 48 * 2 ** 20;

/** One disk; or three, on two buses, one of them in an iothread and one of three layers. */
function disksIn(storage: string, link: string, count: Variant["disks"]): DiskOptions[] {
  const common = { storage, through: link };
  const more: DiskOptions[] = [
    { ...common, iothread: "own" },
    { ...common, bus: "virtio-scsi", layers: threeLayers("vdc-") },
  ];
  return [common, ...more.slice(0, count - 1)];
}

export class Course implements AsyncDisposable {
  private constructor(private readonly stage: Stage) {}

  static async open(release: QemuRelease, disks: Variant["disks"]): Promise<Course> {
    const command = qemuCommand(release);
    const make = async (at: (...names: string[]) => string) => {
      await symlink(at("path1"), at("disks"));
      return disksIn(at("path1"), at("disks"), disks);
    };
    return new Course(await Stage.open({ sandboxName: "matrix", command, disks: make }));
  }

  /**
   * Moves all disks, and compares: names, chains and headers with those before, then, after a power cut, every byte.
   * @throws AssertionError for a chain that is not as it was; what is lost or corrupt is for the caller to judge
   */
  async move(variant: Variant): Promise<Figures> {
    const { stage } = this;
    const [from, to] = [stage.at("path1"), stage.at("path2")];
    await mkdir(to, { recursive: true });
    await stage.guest.waitForRecords(20);
    const before = await this.#chains();
    const counts = this.#counts();
    const moves = Object.values(await stage.moves(this.#arguments(variant, to)));
    const during = this.#counts().map((count, index) => count - (counts[index] ?? 0));
    assert(Math.min(...during) > 5, `the guest wrote but ${during} records while it was moved`);
    await stage.guest.waitForRecords(20);
    const after = await this.#chains();
    for (const { id } of this.#disks) assertChain(after.get(id) ?? [], before.get(id) ?? [], to, variant.collapse);
    await this.#assertSettled(from, variant.collapse === "none" ? from : to);
    assert.deepEqual([...new Set(moves.map(({ phase }) => phase))], ["settled"]);
    const pauseMs = Math.max(...moves.map((move) => move.pauseMs ?? Number.NaN));
    return { ...(await this.#readAfterPowerCut(after, counts, from)), pauseMs };
  }

  #arguments({ strategy, collapse, copyMode }: Variant, destination: string): Properties {
    const overlay = collapse === undefined ? {} : { collapse, restartDuringMove: "from-manifest" };
    const disks = this.#disks.map(({ id }) => id);
    // an overlay that stays has a name of its own, so nothing finds it through the link
    const through = collapse === "none" ? {} : { link: this.stage.at("disks") };
    return { disks, destination, ...through, strategy, copyMode, maxBytesPerSecond, ...overlay };
  }

  /** No job, no open file at the former place, and the link leads where it shall. */
  async #assertSettled(from: string, linked: string): Promise<void> {
    assert.deepEqual(await this.stage.operator.execute("query-jobs"), []);
    assert.equal(await readlink(this.stage.at("disks")), linked);
    const open = await this.stage.guest.openFiles();
    assert.deepEqual(
      open.filter((file) => path.dirname(file) === from),
      [],
    );
  }

  /** Nothing but the destination is there for the boot that follows. */
  async #readAfterPowerCut(chains: ReadonlyMap<string, ChainLink[]>, counts: readonly number[], former: string) {
    const { stage } = this;
    await stage.operator.close();
    await stage.guest.kill();
    await rm(former, { recursive: true });
    const active = Object.fromEntries(this.#disks.map(({ id }) => [id, chains.get(id)?.[0]?.path ?? ""]));
    const found = { acknowledged: 0, lost: 0, corrupt: 0 };
    for (const [index, disk] of this.#disks.entries()) {
      const check = await checkImage(active[disk.id] ?? "", disk);
      found.acknowledged += check.acknowledged - (counts[index] ?? 0);
      found.lost += check.lost.length;
      found.corrupt += check.corrupt.length;
    }
    // by the same command line, where that still names the active images
    const renamed = Object.values(active).some((file) => path.basename(file).startsWith("lm-"));
    await stage.boot(renamed ? active : {});
    return found;
  }

  /** Of each disk, as the monitor and the headers on disk have it. */
  async #chains(): Promise<Map<string, ChainLink[]>> {
    const entries = this.#disks.map(async ({ id }) => [id, await chainOf(await this.stage.operator.activeImage(id))] as const);
    return new Map(await Promise.all(entries));
  }

  #counts(): number[] {
    return this.#disks.map((disk) => disk.acknowledged().length);
  }

  get #disks(): readonly GuestDisk[] {
    return this.stage.guest.disks;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stage[Symbol.asyncDispose]();
  }
}

/** The same names, the same length, the same headers; with collapse `none` an overlay of ours on top. */
function assertChain(after: readonly ChainLink[], before: readonly ChainLink[], folder: string, collapse: Variant["collapse"]): void {
  const written = ({ path: file, backingName, format }: ChainLink) => ({ file: path.basename(file), backingName, format });
  const [top, ...rest] = after;
  if (collapse === "none") assert.match(path.basename(top?.path ?? ""), /^lm-[0-9a-f]{8}\.overlay\.qcow2$/);
  assert.deepEqual((collapse === "none" ? rest : after).map(written), before.map(written));
  assert.deepEqual([...new Set(after.map((layer) => path.dirname(layer.path)))], [folder]);
}

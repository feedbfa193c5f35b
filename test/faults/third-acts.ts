/** Third events, as they are made: real runs, a real QEMU, real delays. Which ones there are: third-events.ts. */

import assert from "node:assert/strict";
import { realpath, rm } from "node:fs/promises";
import path from "node:path";
import { messageOf } from "../../provider/core/errors.js";
import type { Runner } from "../adversity/runner.js";
import { Operator } from "../sandbox/operator.js";
import { putOverlay, takeOverlay } from "../sandbox/overlay.js";
import type { Arena } from "./arena.js";
import { asleep } from "./asleep.js";
import type { Evidence } from "./evidence.js";
import { endOf } from "./other-runner.js";
import { SlowStorage } from "./slow-storage.js";
import { Supervisor } from "./supervisor.js";
import type { ThirdEvent } from "./third-events.js";

export interface ThirdAct {
  /** Between the two breaks. */
  between?(): Promise<void>;
  /** In the run that is broken a second time, before one of its commands. */
  during?(): Promise<void>;
  /** Right after QEMU was killed there. */
  qemuEnded?(): void;
  /** When that run is over. */
  afterRun?(): Promise<void>;
  /** After both breaks, before the run that ends the move. */
  afterBreaks?(): Promise<void>;
  /** After that. */
  afterEnd?(): Promise<void>;
  /** The run may fail before it is broken, since somebody else is at it. */
  readonly isInTheWay?: true;
  /** @returns whether the guest runs without anybody having booted it by hand */
  isUp?(): Promise<boolean>;
}

export function thirdActOf(arena: Arena, third: ThirdEvent | undefined, evidence: Evidence): ThirdAct {
  switch (third?.event) {
    case undefined:
      return {};
    case "another run":
      return new AnotherRun(arena, evidence);
    case "foreign overlay":
      return { between: () => foreignOverlay(arena, evidence) };
    case "supervisor":
      return new Supervised(arena, evidence);
    case "slow storage":
      return new Slow(arena, third, evidence);
    case "asleep":
      return { afterBreaks: () => asleep(arena, third, evidence) };
  }
}

class AnotherRun implements ThirdAct {
  readonly isInTheWay = true;
  #runner: Runner | undefined;

  constructor(
    private readonly arena: Arena,
    private readonly evidence: Evidence,
  ) {}

  async during(): Promise<void> {
    this.#runner = (await this.arena.otherRunner()).begin(this.arena.other);
    this.evidence.thirdEvent = "came";
  }

  async afterRun(): Promise<void> {
    if (this.#runner) await endOf(this.#runner, this.evidence);
  }
}

/** Somebody's backup, of a disk whose move has begun. The next run must name it, and go on when it is gone. */
async function foreignOverlay(arena: Arena, evidence: Evidence): Promise<void> {
  const { stage } = arena;
  if ((await arena.manifests()).length === 0) return;
  await using operator = await Operator.connect(stage.guest.operatorSocket);
  const file = stage.at(arena.place, "theirs.qcow2");
  const below = await putOverlay(operator, "vda", file, stage.guest.disk().virtualBytes).catch((refused: unknown) => {
    evidence.outputs.push({ title: "QEMU refuses the foreign overlay", text: messageOf(refused) });
    return undefined;
  });
  if (below === undefined) return await removeOverlay(operator, file); // before the monitor is closed
  evidence.thirdEvent = "came";
  await stage.guest.waitForRecords(2);
  const refused = await arena.run("up", arena.other);
  evidence.outputs.push({ title: "an up on the foreign overlay", text: refused.output });
  assert.equal(refused.ok, false, "a move went on although somebody's overlay is on the disk");
  assert(refused.output.includes(file), "the overlay is not named");
  assert.equal(await operator.activeImage("vda"), file, "the guest does not write to the overlay any more");
  await stage.guest.waitForRecords(2);
  await takeOverlay(operator, below);
  await removeOverlay(operator, file);
}

/** What QEMU has refused has a node all the same. */
async function removeOverlay(operator: Operator, file: string): Promise<void> {
  await operator.ask("blockdev-del", { "node-name": "theirs" });
  await rm(file, { force: true });
}

class Supervised implements ThirdAct {
  #supervisor: Supervisor | undefined;
  #state: "running" | "stopped" = "stopped";

  constructor(
    private readonly arena: Arena,
    private readonly evidence: Evidence,
  ) {}

  qemuEnded(): void {
    this.#supervisor = new Supervisor(this.arena.stage.guest);
    this.evidence.thirdEvent = "came";
  }

  async afterRun(): Promise<void> {
    if (this.#supervisor) this.#state = await this.#supervisor.giveUp();
  }

  async isUp(): Promise<boolean> {
    if (this.#state === "stopped") return false;
    const { stage } = this.arena;
    const currents = [...new Set((await this.arena.manifests()).map(({ current }) => current))];
    await using operator = await Operator.connect(stage.guest.operatorSocket);
    const active = await realpath(await operator.activeImage("vda"));
    if (currents.length > 0)
      assert.deepEqual(currents, [active], "the manifests name another image than the one that the guest came up on");
    return true;
  }
}

class Slow implements ThirdAct {
  #storage: SlowStorage | undefined;

  constructor(
    private readonly arena: Arena,
    private readonly third: ThirdEvent,
    private readonly evidence: Evidence,
  ) {}

  async during(): Promise<void> {
    const { sandbox } = this.arena.stage;
    this.#storage = await SlowStorage.begin(sandbox.sshd, this.third.call, path.join(sandbox.folder, "slow"));
  }

  async afterRun(): Promise<void> {
    if (this.#storage && (await this.#storage.end()) > 0) this.evidence.thirdEvent = "came";
    this.#storage = undefined;
  }

  /** Where the break came before such a call. */
  async afterBreaks(): Promise<void> {
    if (this.evidence.thirdEvent !== "came") this.arena.trap.setAside({ nth: this.third.nth, act: () => this.during() });
  }

  async afterEnd(): Promise<void> {
    this.arena.trap.endAside();
    await this.afterRun();
  }
}

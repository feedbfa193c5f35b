/** A client that is killed in a switch, as QEMU does not answer for a while, and an agent takes the monitor whenever that is free. */

import assert from "node:assert/strict";
import { readdir, symlink } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { Runner } from "../adversity/runner.js";
import { until } from "../sandbox/command.js";
import { oneLayer } from "../sandbox/disks.js";
import { Operator } from "../sandbox/operator.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { Stage } from "../storage-migration/stage.js";

const images: Readonly<Record<string, string>> = { vda: "a.qcow2", vdb: "b.qcow2" };

/** Connects whenever nobody else is, and stays for a moment. */
class Agent implements AsyncDisposable {
  #isOver = false;
  readonly #works: Promise<void>;

  constructor(private readonly socket: string) {
    this.#works = this.#work();
  }

  async #work(): Promise<void> {
    while (!this.#isOver) {
      const operator = await Operator.connect(this.socket).catch(() => undefined);
      if (operator) await pause(1500);
      await operator?.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#works;
  }
}

export interface Busy {
  when: string;
  /** Struck at the first of them after job-complete. */
  commands: readonly string[];
  /** So long QEMU does not answer. */
  seconds: number;
}

export const finalizing: Omit<Busy, "seconds"> = { when: "as the first job is let go", commands: ["job-finalize"] };
/** 0.1.0 asks for block jobs. */
export const pending: Omit<Busy, "seconds"> = { when: "while the jobs become pending", commands: ["query-jobs", "query-block-jobs"] };

/** A test of a guest with two disks. */
export function leavesGuestThatWritesOn({ when, commands, seconds }: Busy): void {
  it(`${when}, with a QEMU that does not answer for ${seconds} s then and an agent at its monitor, leaves a guest that writes on`, async () => {
    await using stage = await Stage.open({
      disks: async (at) => {
        await symlink("path1", at("link"));
        return Object.entries(images).map(([id, file]) => ({ id, storage: at("path1"), through: at("link"), layers: oneLayer(file) }));
      },
    });
    await using proxy = await QmpProxy.listen(stage.at("proxy.sock"), stage.guest.qmpSocket);
    const { pid } = stage.guest;
    const settings = { ...stage.arguments, disks: Object.keys(images), link: stage.at("link"), domain: { qmp: proxy.path } };
    const runner = new Runner(settings);
    let awake: Promise<unknown> | undefined;
    const strike = async () => {
      if (awake) return "forward" as const;
      process.kill(pid, "SIGSTOP");
      awake = pause(seconds * 1000).then(() => process.kill(pid, "SIGCONT"));
      await runner.kill();
      return "forward" as const;
    };
    proxy.before("job-complete", () => {
      for (const command of commands) proxy.before(command, strike);
      return "forward";
    });
    const isStruck = () => awake && true;
    await until(90, isStruck, () => `The switch never came: ${runner.lines.slice(-3).join("; ")}`);
    {
      await using _ = new Agent(proxy.path);
      await awake;
      await stage.guest.waitForRecords(5, 30);
      const jobs = (await stage.operator.execute("query-jobs")) as { status: string }[];
      assert.deepEqual(
        [...new Set(jobs.map(({ status }) => status))].filter((status) => status !== "concluded"),
        [],
      );
    }
    for (const { phase } of Object.values(await stage.moves(settings))) assert.equal(phase, "settled");
    assert.deepEqual(
      (await readdir(stage.at("path1"))).filter((name) => name.startsWith("lm-")),
      [],
    );
    await stage.guest.waitForRecords(5);
    await stage.guest.stop();
    for (const [disk, file] of Object.entries(images)) await stage.holdsAll(stage.at("path2", file), disk);
  });
}

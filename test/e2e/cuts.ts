/** Where a move can be cut, each made observable, and what does the cutting. */

import { readdir, stat } from "node:fs/promises";
import type { Properties } from "../../provider/core/lifecycle.js";
import type { OperationResult } from "../engine/engine.js";
import { until } from "../sandbox/command.js";
import { Operator } from "../sandbox/operator.js";
import type { Verdict } from "../sandbox/qmp-proxy.js";
import type { Stage } from "./stage.js";

export type Victim = "provider" | "QEMU";

export interface CutPlace {
  title: string;
  /** Which side is current there. */
  current: "source" | "destination";
  monitor: "direct" | "proxied";
  /** So slow that there is time to look; else as fast as it goes. */
  more: Properties;
  /** Strikes when the move to `storage` is there. What it waits for may never come: then `over` ends it. */
  watch(stage: Stage, storage: string, strike: () => Promise<void>, over: AbortSignal): Promise<void> | void;
}

const slow = { maxBytesPerSecond: 16 * 2 ** 20 };

const copy: CutPlace = {
  title: "during the copy",
  current: "source",
  monitor: "direct",
  more: slow,
  async watch(stage, storage, strike, over) {
    let before = 0;
    const grows = async () => {
      const now = await partialBlocks(stage.at(storage));
      const answer = before > 0 && now > before ? "grows" : undefined;
      before = now;
      return over.aborted ? "over" : answer;
    };
    if ((await until(90, grows, () => "No copy was seen to grow.")) === "grows") await strike();
  },
};

const mirror: CutPlace = {
  title: "during the mirror",
  current: "source",
  monitor: "direct",
  more: slow,
  async watch(stage, _storage, strike, over) {
    await using operator = await Operator.connect(stage.guest.operatorSocket);
    const runs = async () => {
      const job = (await jobsOf(operator)).find(({ status }) => status === "running");
      return over.aborted ? "over" : job && job["current-progress"] > 0 ? "runs" : undefined;
    };
    if ((await until(90, runs, () => "No mirror was seen to run.")) === "runs") await strike();
  },
};

const beforeComplete: CutPlace = {
  title: "in the switch, before job-complete",
  current: "source",
  monitor: "proxied",
  more: {},
  watch: ({ proxy }, _storage, strike) => proxy.before("job-complete", cut(strike)),
};

const pending: CutPlace = {
  title: "in the switch, while both sides wait and nothing is written down",
  current: "source",
  monitor: "proxied",
  more: {},
  watch(stage, _storage, strike) {
    const waitThenStrike = async () => {
      await using operator = await Operator.connect(stage.guest.operatorSocket);
      const job = async () => (await jobsOf(operator)).find(({ status }) => status === "pending");
      await until(60, job, () => "The mirror did not become pending.");
      return cut(strike)();
    };
    stage.proxy.before("job-complete", () => forwardThen(() => stage.proxy.before("query-jobs", waitThenStrike)));
  },
};

const beforeFinalize: CutPlace = {
  title: "in the switch, written down but not let go",
  current: "destination",
  monitor: "proxied",
  more: {},
  watch: ({ proxy }, _storage, strike) => proxy.before("job-finalize", cut(strike)),
};

const neverLetGo: CutPlace = {
  title: "in the switch, written down, when somebody else cancels the mirror",
  current: "source",
  monitor: "proxied",
  more: {},
  watch(stage, _storage, strike) {
    const cancelThenStrike = async () => {
      await using operator = await Operator.connect(stage.guest.operatorSocket);
      const [job] = await jobsOf(operator);
      await operator.execute("job-cancel", { id: job?.id ?? "" });
      const ended = async () => (await jobsOf(operator)).find(({ status }) => status === "concluded");
      await until(60, ended, () => "The mirror did not end.");
      return cut(strike)();
    };
    stage.proxy.before("job-finalize", cancelThenStrike);
  },
};

const tidyingJob: CutPlace = {
  title: "in the tidying, before the job is dismissed",
  current: "destination",
  monitor: "proxied",
  more: {},
  watch: ({ proxy }, _storage, strike) => proxy.before("job-finalize", () => forwardThen(() => proxy.before("job-dismiss", cut(strike)))),
};

const tidyingNodes: CutPlace = {
  title: "in the tidying, before the former chain is closed",
  current: "destination",
  monitor: "proxied",
  more: {},
  watch: ({ proxy }, _storage, strike) => proxy.before("job-finalize", () => forwardThen(() => proxy.before("blockdev-del", cut(strike)))),
};

export const cutPlaces = { copy, mirror, beforeComplete, pending, beforeFinalize, neverLetGo, tidyingJob, tidyingNodes };

/**
 * An `up` that is cut at a place on its way to `storage`.
 * @throws Error if it never got there, or did not fail
 */
export async function cutUp(stage: Stage, storage: string, place: CutPlace, victim: Victim): Promise<OperationResult> {
  const over = new AbortController();
  let pid = 0;
  let strikes = 0;
  const strike = async () => {
    strikes++;
    if (victim === "QEMU") await stage.guest.kill();
    else process.kill(pid, "SIGKILL");
  };
  const watching = Promise.resolve(place.watch(stage, storage, strike, over.signal)).catch((reason: unknown) => reason);
  const result = await stage.run("up", storage, { onProviderStarted: (started) => (pid = started) }, place.more);
  over.abort();
  const failure = await watching;
  if (failure instanceof Error) throw failure;
  if (result.ok || strikes !== 1) throw new Error(`The up was struck ${strikes} times; it ended ${result.exitStatus}:\n${result.output}`);
  return result;
}

function cut(strike: () => Promise<void>): () => Promise<Verdict> {
  return async () => {
    await strike();
    return "cut";
  };
}

function forwardThen(act: () => void): Verdict {
  act();
  return "forward";
}

/** How much of the copy of the lower layer is on the disk by now. */
async function partialBlocks(folder: string): Promise<number> {
  const partial = (await readdir(folder)).find((name) => name.startsWith("common.qcow2.lm-partial-"));
  if (partial === undefined) return 0;
  return stat(`${folder}/${partial}`).then(
    ({ blocks }) => blocks,
    () => 0,
  );
}

async function jobsOf(operator: Operator): Promise<{ id: string; status: string; "current-progress": number }[]> {
  return (await operator.execute("query-jobs")) as { id: string; status: string; "current-progress": number }[];
}

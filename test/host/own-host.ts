/** This machine as a host with a worker of its own, and a new one when that has ended: as a process has it with a connection of its own. */

import type { Host } from "../../provider/host/host.js";
import { OneWorker } from "../../provider/host/one-worker.js";
import { runScript } from "../../provider/host/worker/scripts.js";
import { Workers } from "../../provider/host/worker/workers.js";
import { thisWorld } from "../world.js";
import { type LocalOptions, localWorker } from "./worker/harness.js";

export function ownHost(options: LocalOptions = {}): Host {
  const workers = new Workers<"only">();
  const one = new OneWorker(() => workers.of("only", () => localWorker(options)));
  return {
    name: "here",
    world: thisWorld,
    stateDirectory: "/nowhere",
    run: async (script, args = [], how = {}) => runScript(await one.now(), { script, args }, how),
    open: () => Promise.reject(new Error("no conversations here")),
    worker: () => one.now(),
    withOneWorker: (work) => one.during(work),
  };
}

/** What an adapter needs of the process it runs in. */

import type { World } from "../core/world.js";
import { Calls } from "./calls.js";
import { engineSink, type Sink } from "./progress.js";
import { realWorld } from "./real-world.js";
import { watchForTheEnd } from "./stopping.js";

export interface Surroundings {
  sink: Sink;
  calls: Calls;
  world: World;
  /** Fires when the engine is gone or asks us to end. */
  stop: AbortSignal;
}

let ofThisProcess: Surroundings | undefined;

/** This process as the engine's provider process: watched for its end and for errors that nobody caught. */
export function providerProcess(): Surroundings {
  ofThisProcess ??= watch();
  return ofThisProcess;
}

function watch(): Surroundings {
  const calls = new Calls();
  // The SDK's own listener prints the error and leaves the call unanswered; ours answers it.
  process.on("uncaughtException", (thrown) => calls.abandon(thrown));
  process.on("unhandledRejection", (thrown) => calls.abandon(thrown));
  return { sink: engineSink(process.argv), calls, world: realWorld(), stop: watchForTheEnd(calls) };
}

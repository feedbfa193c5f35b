/** A host whose round trips are counted, with a folder to try things in. */

import type { Host } from "../../provider/host/host.js";
import type { Worker } from "../../provider/host/worker/worker.js";
import { host, scratch } from "./hosts.js";

/** Names that a file may have and that a script may stumble over. */
export const oddNames = ["plain", "a b", "it's", "-rf", "$(touch planted)", "new\nline", "*", "back\\slash", "ü日", '"'];

export async function counted(): Promise<{ there: Host; folder: string; trips(): number }> {
  const { host: real } = await host();
  let trips = 0;
  const run: Host["run"] = (...all) => {
    trips++;
    return real.run(...all);
  };
  const asked = async (): Promise<Worker> => {
    const worker = await real.worker();
    const request: Worker["request"] = (...all) => {
      trips++;
      return worker.request(...all);
    };
    return new Proxy(worker, { get: (of, name) => (name === "request" ? request : Reflect.get(of, name, of)) });
  };
  return {
    there: {
      name: real.name,
      world: real.world,
      stateDirectory: real.stateDirectory,
      run,
      open: (...all) => real.open(...all),
      worker: asked,
      withOneWorker: (work) => real.withOneWorker(work),
    },
    folder: await scratch(),
    trips: () => trips,
  };
}

/** A host whose round trips are counted, with a folder to try things in. */

import type { Host } from "../../provider/host/host.js";
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
  return {
    there: {
      name: real.name,
      stateDirectory: real.stateDirectory,
      run,
      open: (...all) => real.open(...all),
      worker: () => real.worker(),
      withOneWorker: (work) => real.withOneWorker(work),
    },
    folder: await scratch(),
    trips: () => trips,
  };
}

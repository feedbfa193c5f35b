/** A monitor serves one client: a run that finds another there waits, which may be an earlier run's switch that the host still ends. */

import { pause } from "../../core/async/pause.js";
import { MonitorBusy } from "../../hypervisor/qemu/client.js";
import type { Site } from "./site.js";

const waitSeconds = 45;

/**
 * A run's first question to its guest.
 * @throws MonitorBusy if another client still has the monitor after 45 s, or the run is stopped
 */
export async function whenMonitorIsFree<T>({ run, guest, host }: Site, ask: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + 1000 * waitSeconds;
  for (;;) {
    try {
      return await ask();
    } catch (thrown) {
      if (!(thrown instanceof MonitorBusy) || performance.now() > deadline || run.stop.aborted) throw thrown;
      run.progress(`waits for the monitor of ${guest.name} on ${host.name}, which another client has`);
      await pause(1, run.stop);
    }
  }
}

/** A monitor serves one client, which may be the worker of a run that has ended: a switch of its is carried to its end. */

import { MonitorBusy } from "../../hypervisor/hypervisor.js";
import type { Site } from "./site.js";

/** Longer than a switch takes; a run that lives keeps its monitor for longer, and is not waited for. */
const waitSeconds = 10;

/**
 * A run's first question to its guest.
 * @throws MonitorBusy if another client still has the monitor after 10 s more, or the run is stopped
 */
export async function whenMonitorIsFree<T>({ run, guest, host }: Site, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (busy) {
    if (!(busy instanceof MonitorBusy)) throw busy;
    run.progress(`waits for the monitor of ${guest.name} on ${host.name}, which another client has`);
    await guest.awaitTurn(waitSeconds, run.stop).catch((still: unknown) => Promise.reject(still instanceof MonitorBusy ? busy : still));
    return ask();
  }
}

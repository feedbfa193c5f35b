/**
 * One switch of a domain at a time, whichever disks it is about: each would take the other's suspended guest for somebody else's, and there is
 * one record of that. The lock is flock, held by the worker and by the virsh that it has begun; its file goes with its holder.
 */

import { directoryUntilBoot } from "../../host/directory-until-boot.js";
import type { Host } from "../../host/host.js";
import { acquireLock, saidByHolder } from "../../host/worker/locks.js";
import { isFailure, isWorkerError } from "../../host/worker/worker-error.js";
import { SwitchUnderWay, Unable } from "../unable.js";

export interface DomainLock {
  path: string;
  number: number;
}

/** A switch takes less than a second, unless libvirtd is down. */
const switchSecondsAtMost = 60;

/** Whether the worker goes on with what was asked for, and keeps the lock. The reason may have been put into words since. */
function goesOn(thrown: unknown): boolean {
  return isFailure(thrown, "timed-out") || (thrown instanceof Error && thrown.cause !== undefined && goesOn(thrown.cause));
}

interface LockedDomain {
  host: Host;
  domainId: string;
  /** For the end of another switch. */
  waitSeconds?: number | undefined;
}

/** @throws SwitchUnderWay if another switch of the domain is not over @throws Unable if it cannot be locked */
export async function withDomainLock<T>(
  { host, domainId, waitSeconds = switchSecondsAtMost }: LockedDomain,
  work: (lock: DomainLock) => Promise<T>,
): Promise<T> {
  const folder = await directoryUntilBoot(host);
  if (folder === undefined)
    throw new Unable("~/.pulumi-livedisk there cannot be used for its lock", "Make it a directory of that account's own.");
  const path = `${folder}/pulumi-livedisk-${domainId}.lock`;
  const lock = await acquireLock(await host.worker(), { path }, { waitSeconds }).catch((thrown: unknown) => {
    throw refusal(path, thrown);
  });
  let isOver = true;
  try {
    return await work({ path, number: lock.number });
  } catch (thrown) {
    isOver = !goesOn(thrown);
    throw thrown;
  } finally {
    if (isOver) await lock.releaseAndRemove().catch(() => {}); // the worker has ended, and the lock with it
  }
}

function refusal(path: string, thrown: unknown): unknown {
  if (saidByHolder(thrown))
    return new SwitchUnderWay(
      "another switch of it is not over: the host waits for libvirtd, or one of the two for the guest's storage",
      "It ends once these answer. Look at them there, then run again.",
      thrown,
    );
  return isWorkerError(thrown) ? new Unable(`${path} cannot be locked (${thrown.words})`, "Fix that, then run again.", thrown) : thrown;
}

/** A guest that does not run, and that ended in a switch: what was cut is ended, so that it can be started. */

import { isFile } from "../../core/disk/chain.js";
import { UserError } from "../../core/errors.js";
import { seeFiles } from "../../host/file-seen.js";
import type { Host } from "../../host/host.js";
import { GuestNotRunning } from "../../hypervisor/hypervisor.js";
import type { SwitchSide } from "../../journal/decided-by.js";
import type { CutSwitch } from "../../journal/two-sided.js";
import { endWithoutGuest } from "./cut-switch.js";

/**
 * A run's first question to its guest.
 * @param endLeft ends the switches that it has left, and says where each disk is
 * @throws GuestNotRunning in the end, with what was done
 */
export async function orEndLeft<T>(ask: () => Promise<T>, endLeft: () => Promise<string[]>): Promise<T> {
  try {
    return await ask();
  } catch (silent) {
    if (!(silent instanceof GuestNotRunning)) throw silent;
    const ended = await endLeft();
    if (ended.length === 0) throw silent;
    const what = `It ended in a switch, which is ended now: current: ${ended.join(", ")}.`;
    throw new GuestNotRunning(`${silent.message} ${what} Start the guest from there, then run again.`, {
      cause: silent,
      tellsCurrent: true,
    });
  }
}

/** What of a manifest of either flow counts here. */
export interface LeftManifest {
  disk: string;
  domainId: string;
  qdev: string;
  quarantine: string;
}

/** @throws UserError if both images were written to since the switch, or one is not there: nothing was touched then */
export async function endOfLeft(host: Host, { written, decided }: CutSwitch<LeftManifest>): Promise<SwitchSide> {
  const { disk, current, pending, quarantine } = written;
  const [named, away, after] = await seeFiles(host, [current.before, quarantine, current.after], "keep-links");
  const before = [named, away].find((found) => found && isFile(found, pending.before));
  const end = endWithoutGuest({
    decided,
    before: { path: current.before, found: before, recorded: pending.before },
    after: { path: current.after, found: after && isFile(after, pending.after) ? after : undefined, recorded: pending.after },
  });
  if (typeof end === "string") return end;
  throw new UserError(
    `Unable to tell where ${disk} is on ${host.name}: its guest ended in the switch from ${current.before} to ${current.after}, and ${end.why}. ` +
      "Nothing was touched. Compare the two, keep both, and take away the manifests once you know which is right.",
  );
}

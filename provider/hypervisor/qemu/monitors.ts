/** Which monitor an address leads to. A monitor serves one client, so everybody in this process shares one channel to it. */

import { isKind } from "../../core/errors.js";
import { seeFiles } from "../../host/file-seen.js";
import { machineOf } from "../../host/machine.js";
import { Channel, type Way } from "./sessions.js";

/** By what {@link socketOf} says. */
class Channels extends Map<string, Channel> {}

/** The one channel to the monitor at the end of this way; a new one where nothing is there (yet): its user gets the reason. */
export async function channelAt(way: Way): Promise<Channel> {
  const identity = await socketOf(way);
  if (identity === undefined) return new Channel();
  const channels = way.host.world.one(Channels);
  const channel = channels.get(identity) ?? new Channel();
  channels.set(identity, channel);
  return channel;
}

/** The kernel and the socket's inode in it: names of hosts and paths are not unique, and not the same for all who mean the same. */
async function socketOf({ host, socket }: Way): Promise<string | undefined> {
  try {
    const [found] = await seeFiles(host, [socket], "follow");
    return found && `${await machineOf(host)} ${found.dev}:${found.ino}`;
  } catch (thrown) {
    if (isKind(thrown, "user")) return undefined; // it lies where this account may not look
    throw thrown;
  }
}

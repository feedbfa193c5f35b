/** Which monitor an address leads to. A monitor serves one client, so everybody in this process shares one channel to it. */

import { Channel, type Way } from "./sessions.js";

const channels = new Map<string, Channel>();

/**
 * The kernel and the socket's inode in it: names of hosts and paths are not unique, and not the same for all who mean the same.
 *
 * @host stat, cat
 * @for reading
 * @does looks at the monitor's socket, and reads the boot id of the kernel
 * @changes nothing
 * @as the account
 * @why a monitor serves one client, so all who mean the same one share a session
 */
const script = `stat -L -c "$(cat /proc/sys/kernel/random/boot_id) %d:%i" -- "$1" 2>/dev/null`;

/** The one channel to the monitor at the end of this way; a new one where nothing is there (yet): its user gets the reason. */
export async function channelAt({ host, socket }: Way): Promise<Channel> {
  const { exitStatus, stdout } = await host.run(script, [socket]);
  const identity = stdout.trim();
  if (exitStatus !== 0 || !/^[0-9a-f-]+ \d+:\d+$/.test(identity)) return new Channel();
  const channel = channels.get(identity) ?? new Channel();
  channels.set(identity, channel);
  return channel;
}

/** A directory for what counts until the next boot, as the lock of a guest's switch: no switch goes on then. */

import type { Host } from "./host.js";

/**
 * /run is root's, and empty after a boot. Other accounts use their home directory, and do not see each other's.
 * @returns undefined where that is not a directory of the account's own
 *
 * @host mkdir
 * @for locks
 * @does finds the directory for the lock of a guest's switch: /run, else ~/.pulumi-livedisk
 * @changes ~/.pulumi-livedisk, mode 0700, for an account that cannot write in /run. The worker makes the lock's file there, and removes it
 * @as the account
 * @why two switches of one guest would take each other's suspended guest for somebody else's
 */
export async function directoryUntilBoot(host: Host): Promise<string | undefined> {
  const { exitStatus, stdout } = await host.run(script);
  return exitStatus === 0 ? stdout : undefined;
}

const script = `if [ -w /run ]; then printf /run; exit; fi
folder=$HOME/.pulumi-livedisk
mkdir -m 700 -- "$folder" 2>/dev/null
[ -O "$folder" ] && [ ! -L "$folder" ] && printf %s "$folder"`;

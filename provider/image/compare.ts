/** Whether two images hold the same for a guest. */

import { type ChainFiles, chainName } from "../core/disk/chain-options.js";
import { UserError } from "../core/errors.js";
import type { World } from "../core/world.js";
import type { Conversation, Host } from "../host/host.js";
import { expectSuccess, lastWords } from "./last-words.js";
import { imageInfo } from "./qemu-img.js";

/** `past-the-cache`: from the storage itself; a fresh copy would else be compared from the host's memory. */
export type Reading = "cached" | "past-the-cache";

export interface CompareWatch {
  /** Ends the comparison with a UserError. */
  stop?: AbortSignal;
  /**
   * So long without a byte read or a tick of processor time is an error.
   * @default 600
   */
  stallSeconds?: number;
}

// qemu-img is asked about once a second, and ended when nobody asks any more: a host command outlives its client
/**
 * @host mktemp, qemu-img, cat, cksum, sleep, tr, rm
 * @for reading
 * @does `compare -U`: reads two images and compares what a guest would read; ends when nobody asks any more
 * @changes nothing; a temporary file, removed at the end
 * @as the account
 * @why a file that is there already is adopted only if it holds the same
 */
const compareScript = `
export LC_ALL=C
command -v qemu-img >/dev/null || { echo ended 127; exit; }
words=$(mktemp) || exit
trap 'rm -f "$words"' EXIT
qemu-img compare -U -T "$3" -- "$1" "$2" >"$words" 2>&1 </dev/null &
compare=$! pause=0.02
while kill -0 "$compare" 2>/dev/null; do
  echo "at $(cat /proc/$compare/io /proc/$compare/stat 2>/dev/null | cksum)"
  read -r answer || { kill "$compare"; exit; }
  sleep "$pause"
  case $pause in 0.02) pause=0.1 ;; *) pause=0.5 ;; esac
done
wait "$compare"
printf 'ended %s %s\\n' $? "$(tr '\\n' ' ' <"$words")"`;

/**
 * Compares what a guest would read from the tops of two chains; images of different virtual size differ. Both are opened layer by layer as
 * they are given: a guest can write a header into a raw image, and a header can name any file of the host.
 * @throws UserError with qemu-img's last line if they could not be compared, or when stopped
 */
export async function compareImages(
  host: Host,
  a: ChainFiles,
  b: ChainFiles,
  reading: Reading = "cached",
  { stop, stallSeconds = 600 }: CompareWatch = {},
): Promise<"same" | { differs: string }> {
  const [{ path: one }, { path: other }] = [a[0], b[0]];
  const unable = `Unable to compare ${one} with ${other}`;
  // qemu-img takes images for equal when the longer one ends in zeros
  const [sizeA, sizeB] = [await virtualBytes(host, a), await virtualBytes(host, b)];
  if (sizeA !== sizeB) return { differs: `${one} has ${sizeA} bytes and ${other} has ${sizeB}` };
  const shell = await host.open(compareScript, [chainName(a), chainName(b), reading === "cached" ? "writeback" : "none"]);
  try {
    const { exitStatus, words } = await watch(shell, { world: host.world, stop, stallSeconds }, `${unable} on ${host.name}`);
    if (exitStatus === 1) return { differs: lastWords(words) };
    expectSuccess(host, { exitStatus, stderr: words }, unable);
    return "same";
  } finally {
    shell.abandon();
  }
}

async function virtualBytes(host: Host, [{ path, format }]: ChainFiles): Promise<number> {
  return (await imageInfo(host, path, format)).virtualBytes;
}

interface Watching {
  world: World;
  stop: AbortSignal | undefined;
  stallSeconds: number;
}

async function watch(shell: Conversation, { world, stop, stallSeconds }: Watching, unable: string) {
  let last = "";
  let changedAt = world.clock();
  for (;;) {
    const line = await shell.next(stallSeconds);
    const [, exitStatus, words = ""] = /^ended (\d+) ?(.*)$/.exec(line) ?? [];
    if (exitStatus !== undefined) return { exitStatus: Number(exitStatus), words };
    if (stop?.aborted) throw new UserError(`${unable}: it was stopped. Run \`pulumi up\` again to start it again from the beginning.`);
    if (line !== last) changedAt = world.clock();
    if (world.clock() - changedAt > stallSeconds) throw new UserError(`${unable}: nothing was read for ${stallSeconds} s.`);
    last = line;
    shell.send("go on");
  }
}

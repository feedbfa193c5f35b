/** Waiting for the lock of a layer that another move is copying. */

import { pause } from "../../core/async/pause.js";
import { UserError } from "../../core/errors.js";
import type { Host } from "../../host/host.js";
import { LayerShell, type LayerShellOptions } from "./layer-shell.js";

export interface LockWait {
  /** So long without the other copy growing is an error. */
  stallSeconds: number;
  stop: AbortSignal;
  /** Told where the other copy stands. */
  waiting?: (text: string) => void;
}

/**
 * Asks without holding a session: whoever copies needs them. fd 9 is the lock's in {@link layerScript}, a waiter's is 7.
 *
 * @host flock, sed, stat
 * @for locks
 * @does asks whether a layer's sidecar is locked, by which process, and how far its copy is
 * @changes nothing; a shared lock for a moment
 * @as the account
 * @why a second disk waits for the copy of the first
 */
const askScript = `
layer=$1 record=$1.lm-layer
[ -f "$record" ] && [ ! -L "$record" ] && command exec 7<"$record" || { echo free; exit; }
# whoever takes it says why it cannot be taken at all
flock -n -s 7; [ $? -eq 1 ] || { echo free; exit; }
echo busy
set -- $(sed -n 's/^partial \\([0-9a-f]*\\) [0-9a-z]* \\([0-9]*\\)$/\\1 \\2/p; s/^source [0-9]* [0-9]* \\([0-9]*\\) .*/\\1/p' "$record")
echo "\${3:-0} \${1:-0} $([ -z "\${2:-}" ] || stat -c %b -- "$layer.lm-partial-$2" 2>/dev/null)"
for fd in /proc/[0-9]*/fd/9; do
  [ "$fd" -ef "$record" ] && { pid=\${fd#/proc/}; echo "\${pid%%/*}"; }
done
true`;

const longestPauseSeconds = 0.5;

/** One mover of this process at a time asks for a layer, so that fifty disks on one base do not take fifty sessions. */
const turns = new Map<string, Promise<unknown>>();

/** Runs `work` when no other of this process works on the same layer of the same host. */
export async function inTurn<Result>(
  host: Host,
  { destination, waiting }: { destination: string; waiting?: ((text: string) => void) | undefined },
  work: () => Promise<Result>,
): Promise<Result> {
  const key = `${host.name}\0${destination}`;
  const before = turns.get(key);
  if (before !== undefined) waiting?.(`waiting for another disk's copy of ${destination}`);
  const turn = (before ?? Promise.resolve()).then(work);
  const settled = turn.then(
    () => undefined,
    () => undefined,
  );
  turns.set(key, settled);
  void settled.then(() => turns.get(key) === settled && turns.delete(key));
  return turn;
}

/**
 * Opens the shell of a layer once nobody else has its lock.
 * @throws UserError when the other copy does not grow for `stallSeconds`, or when stopped
 */
export async function lockWhenFree(
  host: Host,
  options: LayerShellOptions,
  missing: "make" | "expect",
  patience: LockWait,
): Promise<LayerShell | "absent"> {
  const unable = `Unable to work on ${options.destination} on ${host.name}`;
  let grew = { at: performance.now(), mark: "" };
  for (let pauseSeconds = 0.02; ; pauseSeconds = Math.min(pauseSeconds * 2, longestPauseSeconds)) {
    if (patience.stop.aborted) throw new UserError(`${unable}: it was stopped. Run \`pulumi up\` again to go on.`);
    const asked = await askHolder(host, options.destination);
    if (asked === "free") {
      const shell = await LayerShell.lock(host, options, missing);
      if (shell !== "busy") return shell;
    } else {
      if (asked.mark !== grew.mark) grew = { at: performance.now(), mark: asked.mark };
      patience.waiting?.(`waiting for the copy of ${options.destination} by another move, ${asked.percent} % done`);
    }
    if (performance.now() - grew.at > patience.stallSeconds * 1000) {
      const holder = asked === "free" || asked.pids.length === 0 ? "a process that cannot be seen" : `process ${asked.pids.join(", ")}`;
      const why = `${holder} has its lock, and the copy has not grown for ${patience.stallSeconds} s`;
      throw new UserError(`${unable}: ${why}. End that process, then run \`pulumi up\` again.`);
    }
    await pause(pauseSeconds, patience.stop);
  }
}

type Holder = { mark: string; percent: number; pids: string[] };

async function askHolder(host: Host, destination: string): Promise<"free" | Holder> {
  const { stdout } = await host.run(askScript, [destination]);
  const [state, progress = "", ...pids] = stdout.trim().split("\n");
  if (state !== "busy") return "free";
  const [doneBytes = 0, sizeBytes = 0] = progress.split(" ").map(Number);
  return { mark: progress, percent: sizeBytes > 0 ? Math.floor((100 * doneBytes) / sizeBytes) : 0, pids };
}

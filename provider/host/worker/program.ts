/** The worker's program: its python modules as one piece, and the line that finds a python for them. Nothing is installed on the host. */

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { deflateSync } from "node:zlib";

/**
 * Runs what stands in `$1` with the host's python 3. RHEL 8 has one for its own tools, which need not be on the PATH.
 * `-I -S`: nothing of the account's own, and no site packages, which take time to load.
 *
 * @host sh, python3
 * @for connection
 * @does looks for `python3`, then for `/usr/libexec/platform-python`, and starts the worker with it: one program, whose text comes on
 *   standard input and is stored nowhere. It runs what this page lists, each script in a shell of its own, and connects to monitors. On
 *   QEMU a child of it carries out the switch, to the end also where the program ends before: `job-complete`, QEMU's own image lock on
 *   every image that a disk leaves, the last lines of manifests, renames and syncs, `job-finalize`; where it is called off, all back and
 *   `job-cancel`
 * @changes the files above; in a switch: manifests, `link`, the name of the former image, which image takes the guest's writes. Nobody else can use a
 *   monitor that it has, until a second after its last use
 * @as the account
 * @why what a run has open on the host, its locks and monitors, ends with one process, or with the switch that it has begun
 */
export const startScript = `for python in python3 /usr/libexec/platform-python; do
  command -v "$python" >/dev/null 2>&1 && exec "$python" -I -S -c "$1"
done
echo '{"missing":"python3"}'`;

export interface Program {
  /** For python's `-c`. It takes `payload` from its standard input. */
  boot: string;
  payload: Buffer;
}

/** A worker without a word for that long ends: its client is gone, whether or not the network says so. */
export const silenceSecondsAtMost = 30;

let modules: Record<string, string> | undefined;

/** @param silenceSeconds for tests */
export function workerProgram(silenceSeconds = silenceSecondsAtMost): Program {
  modules ??= readModules();
  const { "worker.boot": boot = "", ...sent } = modules;
  const packed = deflateSync(JSON.stringify({ modules: sent, silenceSeconds }));
  return { boot, payload: Buffer.concat([Buffer.from(String(packed.length).padStart(8, "0")), packed]) };
}

function readModules(): Record<string, string> {
  const files = readdirSync(__dirname).filter((file) => file.endsWith(".py"));
  return Object.fromEntries(
    files.map((file) => [`worker.${path.basename(file, ".py")}`, readFileSync(path.join(__dirname, file), "utf8")]),
  );
}

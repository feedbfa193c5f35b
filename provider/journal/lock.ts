/**
 * The lock beside each manifest: keeps two runs apart, whichever machines they are on.
 *
 * Taken over at once if its holder ran on this same machine and is gone, else after a minute without a heartbeat.
 */

import { z } from "zod";
import { pause } from "../core/async/pause.js";
import { fileNames } from "../core/disk/names.js";
import { baseName, directoryOf, within } from "../core/disk/paths.js";
import { UserError } from "../core/errors.js";
import { parseJson } from "../core/json.js";
import { freeBytes } from "../host/files.js";
import type { Host } from "../host/host.js";
import { type Holder, holderIs, holderSchema, newHolder } from "./holder.js";

/** A heartbeat is a new time on the file. */
const heartbeatSeconds = 10;
/** So long without one, and the holder counts as gone. */
const silenceSeconds = 60;

/** With so little left a file cannot be counted on to be written. */
const fullBytes = 64 * 1024;

/** What a lock says: its holder, and all the locks that it takes for this disk, so that the run that takes over finds the others. */
const lockSchema = holderSchema.extend({ places: z.array(z.string()).default([]) });
type Lock = z.output<typeof lockSchema>;

/**
 * Takes the lock if it is free or still holds `$3`, the text of a holder who is gone; answers what is in it, and how old its last heartbeat is.
 *
 * @host flock, mktemp, sync, mv, rm, date, stat, cat
 * @for locks
 * @does takes the lock beside a manifest, if it is free or its holder is gone, and says who holds it
 * @changes makes or replaces the lock file of a disk
 * @as the account
 * @why keeps two runs apart, whichever machines they are on
 */
const take = `
exec 9<"\${1%/*}/" && flock 9 || exit 3
if [ -L "$1" ]; then echo "$1 is a symbolic link" >&2; exit 4; fi
if [ ! -e "$1" ] || { [ -n "$3" ] && [ "$(cat "$1")" = "$3" ]; } || [ "$(cat "$1")" = "$2" ]; then
  new=$(mktemp "$1.XXXXXX") && printf '%s\\n' "$2" >"$new" && sync -- "$new" && mv -f -T -- "$new" "$1" && sync -- "\${1%/*}/" || { rm -f "$new"; exit 5; }
fi
echo $(($(date +%s) - $(stat -c %Y -- "$1")))
cat "$1"`;

/**
 * Arguments: a lock and its text, and so on.
 *
 * @host touch
 * @for locks
 * @does every ten seconds: a new time on our lock files
 * @changes the time of lock files that still say what we wrote
 * @as the account
 * @why a holder that is silent for a minute counts as gone
 */
const beat = `while [ $# -gt 1 ]; do
  { IFS= read -r text <"$1"; } 2>/dev/null && [ "$text" = "$2" ] && touch -c -- "$1"
  shift 2
done`;
/**
 * All in one, so that a client who is killed leaves all of them or none. Arguments: a lock and its text, and so on.
 *
 * @host flock, cat, rm, sync
 * @for locks
 * @does gives locks back
 * @changes removes lock files that still say what we wrote
 * @as the account
 * @why another run may go on
 */
const release = `while [ $# -gt 1 ]; do
  (exec 9<"\${1%/*}/" && flock 9 && if [ "$(cat "$1" 2>/dev/null)" = "$2" ]; then rm -f -- "$1" && sync -- "\${1%/*}/"; fi)
  shift 2
done`;

/**
 * {@link release} after the file in the first argument is gone: a run that is killed in between leaves both, or neither.
 *
 * @host rm, sync, flock, cat
 * @for clean-up
 * @does removes the last manifest of a disk, then its locks
 * @changes the manifest; lock files that still say what we wrote
 * @as the account
 * @why a run that is killed right then leaves both or neither
 */
const releaseWith = `rm -f -- "$1" && sync -- "\${1%/*}/" || exit 1
shift
${release}`;

/** How to wait for a lock: what is said meanwhile, and when to give up. */
export interface Waiting {
  said: (text: string) => void;
  stop: AbortSignal;
}

/** Locks of one run; takes them in the order asked, gives them back all at once. */
export class Locks {
  /** By its path, what each lock says. */
  readonly #held = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #beats: Promise<unknown> | undefined;

  readonly #host: Host;

  constructor(
    host: Host,
    readonly holder: Holder = newHolder(),
  ) {
    this.#host = host;
  }

  /**
   * Waits for a silent holder to count as gone, at most a minute.
   * @param others of this disk's locks
   * @throws UserError if another run is alive, or the directory cannot be written to
   */
  async take(directory: string, key: string, wait: Waiting, others: readonly string[] = [directory]): Promise<void> {
    const path = within(directory, fileNames.lock(key));
    if (this.#held.has(path)) return;
    const mine = JSON.stringify({ ...this.holder, places: others.map((other) => within(other, fileNames.lock(key))) });
    const deadline = performance.now() + 1000 * (silenceSeconds + 2 * heartbeatSeconds);
    for (let former = "", oldest = 0; ; ) {
      const { text, lock, ageSeconds } = await this.#tryTake(path, mine, former);
      if (text === mine) return this.#keep(path, mine);
      const state = holderIs(lock);
      const isBeating = ageSeconds < oldest;
      if (state === "alive" || isBeating || performance.now() > deadline || wait.stop.aborted) throw this.#refused(path, lock);
      if (state === "gone" || ageSeconds > silenceSeconds) {
        await this.#giveBack(lock.places.filter((other) => other !== path).map((other) => [other, text]));
        former = text;
        continue;
      }
      oldest = ageSeconds;
      wait.said(`waits for the lock of a run on ${lock.name} that has been silent for ${ageSeconds} s`);
      await pause(1, wait.stop);
    }
  }

  /**
   * Takes the locks of all places of one disk, the active image's first: every run on this disk comes by that. So another directory
   * that is full, or that has turned read-only in the middle of a move, where no lock can be written, keeps nobody from ending what was begun.
   */
  async takeAll(directories: readonly string[], key: string, wait: Waiting): Promise<void> {
    for (const [index, directory] of directories.entries()) {
      try {
        await this.take(directory, key, wait, directories);
      } catch (thrown) {
        if (index === 0 || !(await this.#takesNoLock(directory, directories[0] ?? directory, key))) throw thrown;
      }
    }
  }

  /**
   * @host mktemp, rm
   * @for locks
   * @does tries whether a file can be made in a directory
   * @changes makes an empty file and removes it
   * @as the account
   * @why a directory that has turned read-only keeps nobody from ending a move
   */
  async #takesNoLock(directory: string, home: string, key: string): Promise<boolean> {
    if ((await freeBytes(this.#host, directory)) <= fullBytes) return true;
    // tried, since access(2) does not know of a file system that has turned read-only by an error of its own (ext4, Linux 6.18)
    const script = `[ -e "$2" ] || exit 1; new=$(mktemp "$1.XXXXXX" 2>/dev/null) || exit 0; rm -f -- "$new"; exit 1`;
    const paths = [directory, home].map((place, index) => within(place, index === 0 ? fileNames.lock(key) : fileNames.manifest(key)));
    const { exitStatus } = await this.#host.run(script, paths);
    return exitStatus === 0;
  }

  async #tryTake(path: string, mine: string, former: string): Promise<{ text: string; lock: Lock; ageSeconds: number }> {
    const { exitStatus, stdout, stderr } = await this.#host.run(take, [path, mine, former]);
    if (exitStatus !== 0) {
      throw new UserError(
        `Unable to lock ${directoryOf(path)} on ${this.#host.name}: ${lastWords(stderr) || `exit status ${exitStatus}`}. ` +
          "Nothing was touched. This account must be able to create files there.",
      );
    }
    const end = stdout.indexOf("\n");
    const text = stdout.slice(end + 1).trim();
    const lock = lockSchema.safeParse(parseJson(text));
    if (!lock.success)
      throw new UserError(
        `Unable to read the lock ${path} on ${this.#host.name}: it is not as we write it. If no run is under way, remove it.`,
      );
    return { text, lock: lock.data, ageSeconds: Number(stdout.slice(0, end)) };
  }

  #keep(path: string, text: string): void {
    this.#held.set(path, text);
    this.#timer ??= setInterval(() => this.#beat(), 1000 * heartbeatSeconds).unref();
  }

  #beat(): void {
    // a beat that does not arrive shows in the step that is under way, which talks to the same host
    this.#beats ??= this.#host
      .run(beat, [...this.#held].flat())
      .catch(() => {})
      .finally(() => {
        this.#beats = undefined;
      });
  }

  #refused(path: string, { name, pid, run }: Holder): UserError {
    return new UserError(
      `Unable to move a disk on ${this.#host.name}: another run holds the lock (${run}, process ${pid} on ${name}; its lock is ${path}). ` +
        "Nothing was touched. Let it end, then run `pulumi up` again.",
    );
  }

  /** The end of a disk's move: its last manifest goes together with its locks, so that a run which is killed right then leaves neither. */
  async releaseWith(manifest: string, key: string): Promise<void> {
    const mine = this.#of(key);
    const { exitStatus, stderr } = await this.#host.run(releaseWith, [manifest, ...mine.flat()]);
    if (exitStatus !== 0) throw new UserError(`Unable to remove ${manifest} on ${this.#host.name}: ${lastWords(stderr)}. Run again.`);
    for (const [path] of mine) this.#held.delete(path);
  }

  /** Whether this disk's places are held. */
  has(key: string): boolean {
    return this.#of(key).length > 0;
  }

  #of(key: string): [path: string, text: string][] {
    return [...this.#held].filter(([path]) => baseName(path) === fileNames.lock(key));
  }

  /** Gives all back. What cannot be given back is left to its silence. */
  async release(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    const locks = [...this.#held];
    this.#held.clear();
    await this.#giveBack(locks).catch(() => {});
  }

  /** Only those that still say this. */
  async #giveBack(locks: readonly (readonly [path: string, text: string])[]): Promise<void> {
    if (locks.length > 0) await this.#host.run(release, locks.flat());
  }
}

/** `Read-only file system`: a program's reason, without its name and the name it would have given the file. */
function lastWords(stderr: string): string {
  return (stderr.trim().split("\n").pop() ?? "").replace(/^.*mktemp: .*': /, "");
}

/** Who has image files open: from the host's /proc and its table of locks, all files in one round trip. */

import { pause } from "../core/async/pause.js";
import { UserError } from "../core/errors.js";
import type { Host } from "../host/host.js";
import { holdersScript } from "./holders-script.js";
import { expectSuccess } from "./last-words.js";

/** One process of the host with one of the files open. */
export interface Holder {
  pid: number;
  /** Of its executable. */
  program: string;
  access: "reads" | "writes";
}

/** What the host shows of one file. What it hides is not in it: an empty list does not say that nobody has the file open. */
export interface Held {
  /** Every descriptor once, so a process may be named more than once. */
  open: readonly Holder[];
  /** Open file descriptions that hold QEMU's lock for reading (byte 100), and for writing (byte 101), of all users. */
  locks: { reading: number; writing: number };
}

/**
 * Looks at each file, links followed, in the order of the paths.
 * @throws UserError if one of them is not there, or if the host does not show all that this account may see
 */
export async function holdersOf(host: Host, paths: readonly string[]): Promise<Held[]> {
  if (paths.length === 0) return [];
  const finished = await host.run(holdersScript, paths);
  expectSuccess(host, finished, `Unable to see who has ${paths.join(", ")} open`);
  const held = readHeld(finished.stdout);
  if (held.length === paths.length && finished.stdout.endsWith("\ncomplete\n")) return held;
  throw new UserError(`Unable to see who has ${paths.join(", ")} open on ${host.name}: its answer is cut off. Run \`pulumi up\` again.`);
}

/** What the script above has said. */
export function readHeld(text: string): Held[] {
  const lines = text.split("\n").map((line) => line.split(" "));
  return lines.flatMap(([word, device = "", inode = ""]) => (word === "file" ? [heldIn(lines, device, inode)] : []));
}

function heldIn(lines: readonly string[][], device: string, inode: string): Held {
  const open = lines.flatMap(([word, dev, ino, pid, flags, ...program]): Holder[] => {
    if (word !== "open" || dev !== device || ino !== inode) return [];
    return [{ pid: Number(pid), program: program.join(" "), access: flags === "0" ? "reads" : "writes" }];
  });
  const ranges = lines.flatMap(([word, file, from, to]) => (word === "lock" && isLockOf(file, device, inode) ? [{ from, to }] : []));
  const owners = (byte: number) => ranges.filter(({ from, to }) => Number(from) <= byte && (to === "EOF" || Number(to) >= byte)).length;
  return { open, locks: { reading: owners(100), writing: owners(101) } };
}

/**
 * The table names a file by its superblock's device, in hexadecimal, and its inode. On btrfs and overlayfs stat tells another device: then
 * nothing is known, and no lock counts. A device number is made of both as makedev(3) does it.
 */
function isLockOf(file = "", device: string, inode: string): boolean {
  const [major = "", minor = "", ino] = file.split(":");
  const [high, low] = [BigInt(`0x${major || "0"}`), BigInt(`0x${minor || "0"}`)];
  return ino === inode && String(((high & 0xfffn) << 8n) | (low & 0xffn) | ((low & ~0xffn) << 12n)) === device;
}

/** Programs with QEMU's name that read an image for a moment, our own header reads among them; virtqemud reads headers too. */
const readers = /^(qemu-img|qemu-io|virtqemud)/;

/** Whether such a process is one that a moved image would be taken from. virtlockd has images open for writing, and only locks them. */
function matters({ program, access }: Holder): boolean {
  if (program.startsWith("virtlockd")) return false;
  return access === "writes" || (/qemu|kvm/.test(program) && !readers.test(program));
}

/**
 * Who else than the guest has the file open, in words; undefined where nothing shows that somebody has. The guest's own QEMU is one of the
 * processes that are found, or one that this account may not see: so two that matter prove another, and one does not. So do more locks than
 * the descriptors that are seen explain; where none is seen that writes, one lock for writing is the guest's own.
 */
export function othersIn({ open, locks }: Held): string | undefined {
  const found = open.filter(matters);
  if (new Set(found.map(({ pid }) => pid)).size > 1) return [...new Set(found.map(named))].join(", ");
  const writing = Math.max(1, found.filter(({ access }) => access === "writes").length);
  const reading = open.length - found.length;
  if (locks.writing > writing) return "a process that this host account may not see holds QEMU's lock for writing";
  if (locks.reading > writing + reading) return "a process that this host account may not see holds QEMU's lock for reading";
  return undefined;
}

function named({ pid, program, access }: Holder): string {
  return `${program} (process ${pid}) ${access}`;
}

/** A QEMU that starts a helper is two processes until the helper's own program runs; a header that is read holds a lock meanwhile. */
const looksAtMost = 3;
const betweenLooksSeconds = 0.3;

/**
 * {@link othersIn} for each file. What lasts counts: where somebody is seen, it is looked again.
 * @throws UserError if one of the files is not there
 */
export async function othersWith(host: Host, paths: readonly string[]): Promise<(string | undefined)[]> {
  for (let look = 1; ; look++) {
    const others = (await holdersOf(host, paths)).map(othersIn);
    if (look === looksAtMost || others.every((other) => other === undefined)) return others;
    await pause(betweenLooksSeconds);
  }
}

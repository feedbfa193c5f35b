/** Who has image files open: from the host's /proc and its table of locks, all files in one round trip. */

import { refusal } from "../host/complaints.js";
import type { Host } from "../host/host.js";
import { type FileHolders, pathHolders } from "../host/worker/holders.js";

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

/** A file system that does not answer for so long is told of. */
const answersWithinSeconds = 10;

/**
 * Looks at each file, links followed, in the order of the paths.
 * @throws UserError if one of them is not there, or if the host does not show all that this account may see
 * @throws UnreachableError if a file system does not answer
 */
export async function holdersOf(host: Host, paths: readonly string[]): Promise<Held[]> {
  if (paths.length === 0) return [];
  try {
    const { files } = await pathHolders(await host.worker(), paths, { deadlineSeconds: answersWithinSeconds });
    return files.map(heldIn);
  } catch (thrown) {
    throw refusal(host, `see who has ${paths.join(", ")} open`, thrown);
  }
}

/** QEMU's own locks are of open files (OFDLCK): of all users, where the file system has one device number (not btrfs, overlayfs). */
function heldIn({ open, locks }: FileHolders): Held {
  const qemus = locks.filter(({ kind }) => kind === "OFDLCK");
  const owners = (byte: number) => qemus.filter(({ first, last }) => first <= byte && (last === null || last >= byte)).length;
  return {
    open: open.map(({ pid, program, access }) => ({ pid, program, access })),
    locks: { reading: owners(100), writing: owners(101) },
  };
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
    await host.world.sleep(betweenLooksSeconds);
  }
}

/** File systems that a test mounts, and that fill up, fail, turn read-only or vanish. Mounting wants root. */

import { mkdir, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { run } from "./command.js";
import type { Sandbox } from "./sandbox.js";

export interface MountOptions {
  /** `overlay`: its lower and its upper layer are two tmpfs, so that a file's device is another than its directory's. */
  kind: "tmpfs" | "ext4" | "xfs" | "btrfs" | "overlay";
  /** btrfs: 110 at least, XFS: 300. */
  sizeMiB: number;
}

/** Over an existing directory, so that the paths in it stay what they are. Undone with the sandbox. */
export async function mountSmall(sandbox: Pick<Sandbox, "defer">, place: string, options: MountOptions): Promise<SmallFileSystem> {
  const backing = `${place}.backing`;
  // lazily, whatever QEMU or a mount namespace still has open there; a loop device goes with its last user
  sandbox.defer(() => unmountAll(place, path.join(backing, "lower"), backing));
  await mkdir(place, { recursive: true });
  const small = new SmallFileSystem(place, backing, options);
  await small.make();
  return small;
}

export async function unmountAll(...places: string[]): Promise<void> {
  for (const place of places) while (await succeeds("umount", ["--lazy", place])) {}
}

function succeeds(program: string, args: readonly string[]): Promise<boolean> {
  return run(program, args).then(
    () => true,
    () => false,
  );
}

export class SmallFileSystem {
  /** Use {@link mountSmall}. */
  constructor(
    readonly place: string,
    /** Of ext4, XFS and btrfs: a tmpfs with the sparse file behind the loop device. Of an overlay: its upper layer, with the lower one in it. */
    private readonly backing: string,
    private readonly options: MountOptions,
  ) {}

  async make(): Promise<void> {
    const { kind, sizeMiB } = this.options;
    if (kind === "tmpfs") return void (await run("mount", ["-t", "tmpfs", "-o", `size=${sizeMiB}M`, "livedisk-test", this.place]));
    await mkdir(this.backing);
    await run("mount", ["-t", "tmpfs", "-o", `size=${sizeMiB + 16}M`, "livedisk-test", this.backing]);
    if (kind === "overlay") {
      for (const part of ["lower", "upper", "work"]) await mkdir(path.join(this.backing, part));
      await run("mount", ["-t", "tmpfs", "-o", "size=1M", "livedisk-test", path.join(this.backing, "lower")]);
    } else {
      await run("truncate", ["-s", `${sizeMiB}M`, this.image]);
      await makeFileSystem(kind, this.image);
    }
    await this.mount();
  }

  /** After {@link vanish}. */
  async mount(): Promise<void> {
    const { kind } = this.options;
    // XFS: its former self may be mounted still, in somebody's mount namespace
    if (kind !== "overlay") return void (await run("mount", ["-o", kind === "xfs" ? "loop,nouuid" : "loop", this.image, this.place]));
    // relative, since a path in these options may hold neither comma nor colon
    await run("mount", ["-t", "overlay", "-o", "lowerdir=lower,upperdir=upper,workdir=work", "livedisk-test", this.place], {
      folder: this.backing,
    });
  }

  /**
   * With what has come to its disk: after {@link turnReadOnly}, {@link shutDown} or {@link failBelow}, as an administrator would. From a copy of
   * that disk, since a mount namespace that somebody has made meanwhile, as a libvirtd of another test, keeps what is mounted as it was.
   * @throws Error while anybody has a file open there
   */
  async mountAnew(): Promise<void> {
    await run("umount", [this.place]);
    await run("mount", ["-o", `remount,size=${2 * this.options.sizeMiB + 16}M`, this.backing]);
    await run("cp", ["--sparse=always", this.image, `${this.image}.new`]);
    await rename(`${this.image}.new`, this.image);
    await this.mount();
  }

  /** Takes all room but so much. */
  async fill(leaveMiB: number): Promise<void> {
    await fill(this.place, leaveMiB);
  }

  async free(): Promise<void> {
    await rm(path.join(this.place, "ballast"), { force: true });
  }

  /** tmpfs: gives it another size. */
  async resize(sizeMiB: number): Promise<void> {
    await run("mount", ["-o", `remount,size=${sizeMiB}M`, this.place]);
  }

  /** ext4: what it does by itself after an error of its disk (mount option errors=remount-ro), whoever has files open there. */
  async turnReadOnly(): Promise<void> {
    await run("mount", ["-o", "remount,abort", this.place]);
  }

  /** Whoever changes anything there waits, until it is thawed. */
  async freeze(): Promise<void> {
    await run("fsfreeze", ["--freeze", this.place]);
  }

  async thaw(): Promise<void> {
    await run("fsfreeze", ["--unfreeze", this.place]);
  }

  /** XFS: what it does by itself when it cannot write its log. Everything fails there from then on, reading too. */
  async shutDown(): Promise<void> {
    await run("xfs_io", ["-x", "-c", "shutdown", this.place]);
  }

  /** The name is gone at once; what is open stays open. */
  async vanish(): Promise<void> {
    await run("umount", ["--lazy", this.place]);
  }

  /** ext4: the disk below has no block left that was not written before, as a thin volume: writes come back from the disk as errors. */
  async failBelow(leaveMiB: number): Promise<void> {
    await fill(this.backing, leaveMiB);
  }

  async mendBelow(): Promise<void> {
    await rm(path.join(this.backing, "ballast"), { force: true });
  }

  private get image(): string {
    return path.join(this.backing, "disk.img");
  }
}

export async function makeFileSystem(kind: "ext4" | "xfs" | "btrfs", file: string): Promise<void> {
  const quiet = { ext4: ["-q", "-F", "-m", "0"], xfs: ["-q"], btrfs: ["-q"] };
  await run(`mkfs.${kind}`, [...quiet[kind], file]);
}

/**
 * In two steps, the second of which is short: while room is being taken that is not there, whoever else writes finds none at all.
 * Whoever else writes takes some of the room meanwhile: then it is tried again with what is left.
 */
async function fill(folder: string, leaveMiB: number): Promise<void> {
  const ballast = path.join(folder, "ballast");
  for (const leave of [leaveMiB + 16, leaveMiB]) {
    for (let tries = 1; ; tries++) {
      const [blocks = 0, bytes = 0] = (await run("stat", ["-f", "-c", "%a %S", folder])).trim().split(" ").map(Number);
      const before = await stat(ballast).catch(() => ({ size: 0 }));
      const size = Math.floor((before.size + blocks * bytes) / 2 ** 20) - leave;
      try {
        await run("fallocate", ["-l", `${Math.max(1, size)}M`, ballast]);
        break;
      } catch (full) {
        if (tries === 20) throw full;
      }
    }
  }
}

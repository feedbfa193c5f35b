/** A layer's partial: a file of ours that becomes the layer. It is held open, so that it stays known, and is told each error of writing it. */

import { BugError } from "../../core/errors.js";
import { type FileSeen, fileSeen } from "../../host/file-seen.js";
import { moveFile, removeExpected } from "../../host/worker/changes.js";
import { type CopyOptions, copyAttributes, copyFile, type FromFile } from "../../host/worker/copying.js";
import { hostErrno } from "../../host/worker/errno.js";
import { type HeldFile, openFile, type WorkerFile } from "../../host/worker/files.js";
import type { ChangeOptions } from "../../host/worker/operation.js";
import type { NamedPlace, Place } from "../../host/worker/place.js";
import { runProgram, withPath } from "../../host/worker/programs.js";
import type { Worker } from "../../host/worker/worker.js";
import { isErrno, isFailure, isMissing } from "../../host/worker/worker-error.js";
import { lastWords } from "../../image/last-words.js";
import { StepFailed } from "./layer-failures.js";

/** Where it lies. */
export interface PartialPlace {
  worker: Worker;
  /** What is copied, held open. Undefined where the partial is only looked at or removed. */
  source: HeldFile | undefined;
  /** The partial's path, for messages. */
  path: string;
  place: NamedPlace;
  /** The lock under which it is changed, and how long that may take. */
  change: () => ChangeOptions;
}

/** What lies under its name is not the file that we had there. */
export class PartialGone extends Error {}

export class LayerPartial {
  readonly #at: PartialPlace;
  readonly #file: WorkerFile;
  /** When it was opened. */
  readonly seen: FileSeen;

  private constructor(at: PartialPlace, file: WorkerFile) {
    this.#at = at;
    this.#file = file;
    this.seen = fileSeen(file.status);
  }

  /** From before the first write on: no other file can get its inode, and the sync at the end tells each error of writing it back, whoever wrote. */
  static async hold(at: PartialPlace): Promise<LayerPartial> {
    return new LayerPartial(at, await openFile(at.worker, at.place, at.change()));
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /** All of the source that lies behind `resumeBytes`. @throws PartialGone */
  async copy(options: Pick<CopyOptions, "resumeBytes" | "bytesPerSecond" | "onProgress" | "signal">): Promise<void> {
    await orGone(copyFile(this.#at.worker, this.#sourceAndThis, { ...options, ...this.#asItself }));
  }

  /**
   * Gives it its backing name, owner, mode and attributes, and has it safely on the storage.
   * A label or an ACL that the file system cannot hold is found out by QEMU's own probe of the folder.
   * @throws PartialGone
   */
  async dress(backing: { name: string; format: string } | undefined): Promise<void> {
    if (backing !== undefined) await this.#rewriteBacking(backing);
    const left = await orGone(copyAttributes(this.#at.worker, this.#sourceAndThis, this.#asItself));
    const refused = left.find(({ attribute, errno }) => attribute === "mode" || (attribute === "owner" && !this.#staysOurs(errno)));
    if (refused) throw new StepFailed(`its ${refused.attribute} cannot be set (error ${refused.errno})`);
    await this.#file.sync(this.#at.change());
  }

  /** Never over another file. @throws PartialGone */
  async moveTo(layer: Place): Promise<void> {
    try {
      await orGone(moveFile(this.#at.worker, { from: this.#at.place, to: layer }, this.#asItself));
    } catch (thrown) {
      if (!isErrno(thrown, hostErrno.EEXIST)) throw thrown;
      throw new StepFailed("a file that is not ours has that name already; move it away", { cause: thrown });
    }
  }

  async remove(): Promise<void> {
    await removeExpected(this.#at.worker, this.#at.place, { ...this.#asItself, hidden: "allow" });
  }

  get #asItself(): ChangeOptions & { expected: { file: number } } {
    return { ...this.#at.change(), expected: this.#file.itself };
  }

  get #sourceAndThis(): FromFile {
    const { source, place } = this.#at;
    if (!source) throw new BugError(`A copy to ${place.name} was begun without its source.`);
    return { from: source, to: place };
  }

  /**
   * @host qemu-img
   * @for copying
   * @does writes the backing name into the header of a copied layer (`qemu-img rebase -u`)
   * @changes that header
   * @as the account
   * @why the copy stands on the copies below it
   */
  async #rewriteBacking({ name, format }: { name: string; format: string }): Promise<void> {
    const { worker, path, change } = this.#at;
    const words = ["qemu-img", "rebase", "-u", "-f", "qcow2", "-F", format, "-b", name, "--", this.#file.itself];
    const { exitStatus, stderr } = await runQemuImg(worker, words, change());
    if (exitStatus !== 0) throw new StepFailed(lastWords(withPath(stderr.toString(), path)));
  }

  /** Who is not root may not give files away (chown(2)): then they stay the account's own. */
  #staysOurs(errno: number): boolean {
    return errno === hostErrno.EPERM && this.#at.worker.hello.uid !== 0;
  }
}

function runQemuImg(worker: Worker, words: readonly (string | HeldFile)[], options: ChangeOptions): ReturnType<typeof runProgram> {
  return runProgram(worker, words, { ...options, whenCancelled: "finish" }).catch((thrown: unknown) => {
    if (!isFailure(thrown, "no-program")) throw thrown;
    throw new StepFailed("qemu-img is missing: install the package qemu-utils", { cause: thrown });
  });
}

async function orGone<Result>(change: Promise<Result>): Promise<Result> {
  try {
    return await change;
  } catch (thrown) {
    if (isFailure(thrown, "other-file") || isMissing(thrown)) throw new PartialGone("", { cause: thrown });
    throw thrown;
  }
}

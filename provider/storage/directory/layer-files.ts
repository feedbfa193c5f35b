/** The files beside a layer: what they are called, and what a sidecar says. */

import { hostErrno } from "../../host/worker/errno.js";
import { readTrustedFile } from "../../host/worker/files.js";
import type { RequestOptions } from "../../host/worker/operation.js";
import type { Place } from "../../host/worker/place.js";
import type { Worker } from "../../host/worker/worker.js";
import { type FailureName, isErrno, isFailure, isMissing } from "../../host/worker/worker-error.js";
import { parseRecord } from "./layer-record.js";

/** A sidecar of a thousand disks has a third of it. */
const sidecarBytesAtMost = 65536;

export function sidecarOf(destination: string): string {
  return `${destination}.lm-layer`;
}

export function partialOf(destination: string, suffix: string): string {
  return `${destination}.lm-partial-${suffix}`;
}

/** What a sidecar says. One that is not regular, another account's, or too large is none of ours. @throws WorkerError where it cannot be read */
export async function readSidecar(worker: Worker, place: Place, options?: RequestOptions): Promise<ReturnType<typeof parseRecord>> {
  try {
    const { content } = await readTrustedFile(worker, place, { ...options, bytesAtMost: sidecarBytesAtMost });
    return parseRecord(content.length === 0 ? [] : content.toString().replace(/\n$/, "").split("\n"));
  } catch (thrown) {
    if (isMissing(thrown)) return "empty";
    if (untrusted.some((name) => isFailure(thrown, name)) || isErrno(thrown, hostErrno.ELOOP)) return "foreign";
    throw thrown;
  }
}

const untrusted: readonly FailureName[] = ["not-regular", "foreign-owner", "wrong-mode", "too-large"];

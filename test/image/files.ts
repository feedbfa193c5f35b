/** Files for the tests of image/, and looks at them by another road than the code under test takes. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FileIdentity } from "../../provider/core/disk/chain.js";
import type { CopyOptions } from "../../provider/storage/directory/copy.js";
import { makeFolder } from "../sandbox/folders.js";

export const MIB = 1024 * 1024;

/** A fresh directory on a real file system, gone after the test; the base defaults to one that is no tmpfs. */
export async function scratch(context: Mocha.Context): Promise<{ source: string; destination: string; root: string }> {
  const folder = await makeFolder("image-test-", existsSync("/var/tmp") ? "/var/tmp" : tmpdir());
  undoLater(context, folder.remove);
  const root = folder.path;
  const [source, destination] = [join(root, "from"), join(root, "to")];
  execFileSync("mkdir", [source, destination]);
  return { source, destination, root };
}

const undoings = new WeakMap<object, (() => Promise<void> | void)[]>();

/** Runs after the test, in reverse order; needs {@link undoAll} in an afterEach. */
export function undoLater(context: Mocha.Context, undo: () => Promise<void> | void): void {
  const test = context.currentTest ?? context.test;
  assert(test !== undefined);
  undoings.set(test, [...(undoings.get(test) ?? []), undo]);
}

export async function undoAll(this: Mocha.Context): Promise<void> {
  for (const undo of (undoings.get(this.currentTest ?? {}) ?? []).reverse()) await undo();
}

/** A file of `sizeBytes`, all hole but for random bytes at the places given. */
export async function sparseFile(path: string, sizeBytes: number, places: readonly { at: number; bytes: number }[]): Promise<void> {
  const file = await open(path, "wx");
  await file.truncate(sizeBytes);
  for (const { at, bytes } of places) await file.write(randomBytes(bytes), 0, bytes, at);
  await file.sync();
  await file.close();
}

export function identityOf(path: string): FileIdentity {
  const text = execFileSync("stat", ["-L", "-c", "%d %i %s %.9Y", "--", path], { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } });
  const [dev = "", ino = "", size = "", modified = ""] = text.trim().split(" ");
  return { dev, ino, sizeBytes: Number(size), modified };
}

export function allocatedBytes(path: string): number {
  return statSync(path).blocks * 512;
}

export function assertSameBytes(a: string, b: string): void {
  execFileSync("cmp", ["--", a, b]);
}

/** Everything that lies in a directory, so that leftovers show. */
export function namesIn(directory: string): string[] {
  return readdirSync(directory).sort();
}

/** Options of a copy that is not slowed, stopped or watched. */
export function copyOptions(source: string, destination: string, more: Partial<CopyOptions> = {}): CopyOptions {
  return {
    source,
    sourceIdentity: identityOf(source),
    destination,
    user: "aaaaaaaa",
    maxBytesPerSecond: () => 0,
    progress: () => {},
    stop: new AbortController().signal,
    stallSeconds: 20,
    ...more,
  };
}

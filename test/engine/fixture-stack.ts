/** A stack of "disks" that are files in a temporary folder: the tests of the engines themselves play on it. */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { findCli } from "./cli.js";
import type { ResourceState } from "./deployment.js";
import { type Change, type Engine, type OperationOptions, type OperationResult, openEngine } from "./engine.js";

export type EngineKind = "harness" | "cli";

/** The fixtures are not compiled: they are found from the repository's root. */
export const fixtures = resolve(__dirname, "../../../test/engine");

/** One entry of what the fixture's program registers. */
interface Wanted {
  name: string;
  args?: Record<string, string>;
  [option: string]: unknown;
}

async function isAvailable(kind: EngineKind): Promise<boolean> {
  return kind === "harness" || (await findCli()) !== undefined;
}

class FixtureStack {
  private constructor(
    readonly folder: string,
    readonly engine: Engine,
  ) {}

  static async open(prefer: EngineKind): Promise<FixtureStack> {
    const folder = mkdtempSync(join(tmpdir(), "livedisk-engine-"));
    mkdirSync(join(folder, "reality"));
    const secrets = { "fixture:token": "hidden value" };
    const project = join(fixtures, "fixture");
    return new FixtureStack(folder, await openEngine({ project, workFolder: join(folder, "work"), secrets, prefer }));
  }

  /** The file that is the disk of that name, or that says what shall go wrong with it. */
  reality(name: string): string {
    return join(this.folder, "reality", name);
  }

  options(resources: Wanted[], more: OperationOptions = {}): OperationOptions {
    return { ...more, env: { REALITY: join(this.folder, "reality"), RESOURCES: JSON.stringify(resources) } };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}

/** Gives each test of a describe block a stack of its own. Without a real CLI it skips those of that: the harness has its own run. */
export function onFixtureStack(prefer: EngineKind): () => FixtureStack {
  let stack: FixtureStack | undefined;
  before(async function () {
    if (!(await isAvailable(prefer))) this.skip();
  });
  beforeEach(async () => {
    stack = await FixtureStack.open(prefer);
  });
  afterEach(() => {
    stack?.remove();
    stack = undefined;
  });
  return () => {
    assert(stack, "each test has its stack");
    return stack;
  };
}

/** A program with one disk, `web`. */
export function web(storage: string, more: Record<string, unknown> = {}): Wanted[] {
  return [{ name: "web", args: { name: "web", storage }, ...more }];
}

export function stored(result: OperationResult, name: string): ResourceState | undefined {
  return result.state.deployment.resources.find(({ urn }) => urn.endsWith(`:FileDisk::${name}`));
}

/** What changed: name, operation and properties; the stack and providers are the engine's own. */
export function changed(changes: readonly Change[]): [string, string, string[]][] {
  const ours = changes.filter(({ op, type }) => type === "livedisk:FileDisk" && op !== "same" && op !== "read");
  return ours.map(({ name, op, changedProperties }) => [name, op, changedProperties]);
}

export function ops(result: OperationResult): Record<string, string> {
  return Object.fromEntries(changed(result.changes).map(([name, op]) => [name, op]));
}

/** Which test files took longest: where a run that should be shorter is worth a look. */

import path from "node:path";
import type Mocha from "mocha";

/** What of a test or a hook counts. */
type Timed = Pick<Mocha.Runnable, "file" | "duration">;

/** Sums what tests and hooks of each file took; the start of its process is not in it. */
export class Slowest {
  readonly #milliseconds = new Map<string, number>();

  listen(runner: Mocha.Runner): void {
    const add = (timed: Timed) => this.add(timed);
    runner.on("test end", add);
    runner.on("hook end", add);
  }

  add({ file, duration = 0 }: Timed): void {
    if (file !== undefined) this.#milliseconds.set(file, (this.#milliseconds.get(file) ?? 0) + duration);
  }

  /** A line for people; nothing where no file took a second. */
  line(root: string, most = 12): string | undefined {
    const sorted = [...this.#milliseconds].sort(([, one], [, other]) => other - one);
    const told = sorted.filter(([, milliseconds]) => milliseconds >= 1000).slice(0, most);
    const shown = told.map(([file, milliseconds]) => `${nameIn(root, file)} ${Math.round(milliseconds / 1000)} s`);
    return shown.length === 0 ? undefined : `Slowest files: ${shown.join(", ")}`;
  }
}

function nameIn(root: string, file: string): string {
  return path.relative(root, file).replace(/\.test\.js$/, "");
}

/** What all benchmarks have in common. */

import type { Figure } from "./figures.js";

/** `full`: what the figures are about. `tiny`: only to see that a benchmark works. */
export type Size = "full" | "tiny";

export interface Benchmark {
  /** What it compares, in one line. */
  about: string;
  /** Leaves nothing behind. `say`: told where it stands; `count`: how often each side is measured, where a benchmark lets that be chosen. */
  run(size: Size, say: (line: string) => void, count?: number): Promise<Figure[]>;
}

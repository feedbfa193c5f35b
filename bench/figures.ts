/** What a benchmark says: each figure was measured several times in one run, and is told by its median and its range. */

export interface Figure {
  what: string;
  unit: "s" | "ms" | "MiB" | "bytes" | "times" | "";
  values: readonly number[];
  /** What the median ought to be. */
  wanted?: { atMost: number } | { atLeast: number };
  /** How it was come by, where that does not go without saying. */
  note?: string;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  if (sorted.length % 2 === 1) return sorted[Math.floor(middle)] ?? Number.NaN;
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

/** The value that `share` of all are not above. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** Round by round: what was measured beside each other is compared with each other. */
export function ratios(ones: readonly number[], others: readonly number[]): number[] {
  return ones.map((one, round) => one / (others[round] ?? Number.NaN));
}

export function verdict({ values, wanted }: Figure): "met" | "missed" | "" {
  if (!wanted) return "";
  const found = median(values);
  return ("atMost" in wanted ? found <= wanted.atMost : found >= wanted.atLeast) ? "met" : "missed";
}

/** Of a figure of which something is wanted: in one line of words and numbers. */
export function verdictIn(figure: Figure): object[] {
  const { what, unit, values, wanted } = figure;
  if (wanted === undefined) return [];
  return [{ what, unit, measured: values.length, median: Number(median(values).toFixed(2)), wanted, verdict: verdict(figure) }];
}

/** One line a figure, in columns. */
export function table(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => {
    const { what, unit, values, wanted, note } = figure;
    const range = values.length > 1 ? `${short(Math.min(...values))} to ${short(Math.max(...values))}` : "";
    const wish = wanted === undefined ? "" : "atMost" in wanted ? `at most ${short(wanted.atMost)}` : `at least ${short(wanted.atLeast)}`;
    return [what, `${short(median(values))} ${unit}`.trim(), range, wish, verdict(figure), note ?? ""];
  });
  const all = [["figure", "median", "range", "wanted", "", ""], ...rows];
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? [];
  return all.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}`.trimEnd()).join("\n");
}

function short(value: number): string {
  if (Number.isInteger(value)) return String(value);
  return value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
}

/** The quickstart's result for people: the chain before and after as a tree, and the figures. */

import path from "node:path";
import type { Figures, Place } from "./story.js";

export function show({ before, after, records, pauseMs, copiedBytes, seconds, engine }: Figures): void {
  console.log(`\nbefore\n${tree(before)}\nafter\n${tree(after)}\n`);
  console.log(`records   ${records.acknowledged} acknowledged, ${records.lost} lost, ${records.corrupt} corrupt`);
  console.log(`pause     ${pauseMs} ms in which the guest's I/O waited`);
  console.log(`copied    ${(copiedBytes / 1024 / 1024).toFixed(1)} MiB`);
  console.log(`time      ${seconds} s, engine: ${engine}`);
}

/** The directory, then the layers from the active one down. */
function tree({ active, chain }: Place): string {
  const layers = chain.map((layer, depth) => `${"   ".repeat(depth)}└─ ${path.basename(layer)}${depth === 0 ? "  (active)" : ""}`);
  return [`  ${path.dirname(active)}`, ...layers.map((layer) => `  ${layer}`)].join("\n");
}

/** Writes the tables of docs/reference.md. `npm run reference`; a test fails where the page has others. */

import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { tables } from "./tables.js";

export const file = path.resolve(__dirname, "../../../docs/reference.md");

/**
 * The page with each table between its two marks as it is to be.
 * @throws Error if a table has no place in the page, or a place no table
 */
export function withTables(page: string, made: Record<string, string[]> = tables()): string {
  const placed = new Set<string>();
  const whole = page.replace(/<!-- table: (.+?) -->\n[\s\S]*?<!-- end -->/g, (_, name: string) => {
    const rows = made[name];
    if (!rows) throw new Error(`docs/reference.md has a place for "${name}", and there is no such table.`);
    placed.add(name);
    return [`<!-- table: ${name} -->`, "", ...rows, "", "<!-- end -->"].join("\n");
  });
  const missing = Object.keys(made).filter((name) => !placed.has(name));
  if (missing.length > 0) throw new Error(`docs/reference.md has no place for ${missing.join(", ")}.`);
  return whole;
}

if (require.main === module) writeFileSync(file, withTables(readFileSync(file, "utf8")));

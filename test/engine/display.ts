/** What an operation shows: changes, logs, errors. */

import type { Change } from "./engine.js";
import type { LogLine } from "./engine-log.js";
import { nameOf } from "./goal.js";
import { isSecret, type PropertyChange, unknownValue } from "./values.js";

const symbols = { create: "+", update: "~", delete: "-", replace: "+-", same: "=", read: ">" };
const kindSymbols = { add: "+", update: "~", delete: "-" };

export class Display {
  readonly lines: string[] = [];

  constructor(readonly onLine: (line: string) => void) {}

  show(line: string): void {
    this.lines.push(line);
    this.onLine(line);
  }

  /** `~ livedisk:StorageMigration web  [diff: ~destination]`, then a line for each property. */
  change(change: Change): void {
    if (change.op === "same") return;
    const keys = change.op === "update" || change.op === "replace" ? `  [diff: ${change.diff === "" ? "" : keysOf(change.diff)}]` : "";
    this.show(`${symbols[change.op]} ${change.type} ${change.name}${keys}`);
    for (const line of change.diff.split("\n").filter((text) => text !== "")) this.show(`    ${line}`);
  }

  log({ severity, message, urn, ephemeral }: LogLine): void {
    if (severity === "debug" || message.trim() === "") return;
    const where = urn === "" ? "" : `${nameOf(urn)}: `;
    this.show(`  ${where}${severity === "info" || ephemeral ? "" : `${severity}: `}${message.trimEnd()}`);
  }

  error(urn: string, message: string): void {
    this.show(`  ${typeOf(urn)} ${nameOf(urn)}: error: ${message}`);
  }
}

/** `livedisk:StorageMigration` of `…::pulumi-nodejs:dynamic/livedisk:StorageMigration::web`. */
export function typeOf(urn: string): string {
  const type = urn.split("::")[2] ?? "";
  return type.split("$").at(-1)?.split("/").at(-1) ?? type;
}

export function changeOf(urn: string, op: Change["op"], properties: readonly PropertyChange[]): Change {
  return {
    urn,
    name: nameOf(urn),
    type: typeOf(urn),
    op,
    changedProperties: properties.map((property) => property.path),
    diff: properties.map(lineOf).join("\n"),
  };
}

function lineOf({ path, kind, before, after }: PropertyChange): string {
  const values = kind === "add" ? textOf(after) : kind === "delete" ? textOf(before) : `${textOf(before)} => ${textOf(after)}`;
  return `${kindSymbols[kind]} ${path}: ${values}`;
}

function textOf(value: unknown): string {
  if (isSecret(value)) return "[secret]";
  return value === unknownValue ? "[unknown]" : JSON.stringify(value);
}

function keysOf(diff: string): string {
  const keys = diff.split("\n").map((line) => line.replace(/^(.) ([^.[:]+).*/, "$1$2"));
  return [...new Set(keys)].join(",");
}

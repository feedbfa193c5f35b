/** The walk of one move in docs/architecture.md: who follows it never jumps up, nor to where nothing leads. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { roomOf } from "./rules.js";

const root = path.join(__dirname, "../../..");
const stopsAtMost = 12;

interface Stop {
  file: string;
  name: string;
}

/** The lists of stops that a page holds. */
function walksIn(page: string): Stop[][] {
  const section = page.slice(page.indexOf("## The walk"));
  return [...section.matchAll(/```\n([^`]*)```/g)].map(([, list = ""]) =>
    list
      .trim()
      .split("\n")
      .map((line) => {
        const [file = "", name = ""] = line.split(":");
        return { file, name };
      }),
  );
}

/** What keeps a walk from being followed, in sentences. */
function brokenIn(stops: readonly Stop[], read: (file: string) => string): string[] {
  const broken = stops.length > stopsAtMost ? [`${stops.length} stops, and ${stopsAtMost} are allowed`] : [];
  for (const [index, stop] of stops.entries()) {
    if (!declares(read(stop.file), stop)) broken.push(`${stop.file} has no ${stop.name}`);
    const next = stops[index + 1];
    if (!next) continue;
    if (rankOf(next.file) < rankOf(stop.file)) broken.push(`${next.file} is in a higher room than ${stop.file}`);
    if (!leads(read(stop.file), stop, next, read)) broken.push(`${stop.file} neither imports nor calls ${next.name} of ${next.file}`);
  }
  return broken;
}

function rankOf(file: string): number {
  return roomOf(file)?.row ?? -1;
}

function declares(text: string, { file, name }: Stop): boolean {
  if (file.endsWith(".py")) return new RegExp(`^ *def ${name}\\(`, "m").test(text);
  return new RegExp(`(function|const) ${name}\\b|^ {2}(async )?${name}[(<]`, "m").test(text);
}

/** By an import of the function, a call of it as a method, or the name of the operation that it carries out on the host. */
function leads(text: string, from: Stop, next: Stop, read: (file: string) => string): boolean {
  if (!next.file.endsWith(".py")) {
    const relative = path.relative(path.dirname(from.file), next.file.replace(/\.ts$/, ".js"));
    const specifier = relative.startsWith(".") ? relative : `./${relative}`;
    const isImported = new RegExp(`import [^;]*\\b${next.name}\\b[^;]* from "${specifier.replaceAll(".", "\\.")}"`).test(text);
    return isImported || new RegExp(`\\.${next.name}\\(`).test(text);
  }
  if (from.file.endsWith(".py")) {
    const isImported = new RegExp(`^from worker\\.${path.basename(next.file, ".py")} import .*\\b${next.name}\\b`, "m").test(text);
    return isImported || new RegExp(`\\.${next.name}\\(`).test(text);
  }
  const [, operation] = new RegExp(`@operation\\("([\\w-]+)"[^)]*\\)\\ndef ${next.name}\\(`).exec(read(next.file)) ?? [];
  return operation !== undefined && text.includes(`"${operation}"`);
}

describe("the walk of one move", () => {
  const page = readFileSync(path.join(root, "docs/architecture.md"), "utf8");
  const read = (file: string) => readFileSync(path.join(root, "provider", file), "utf8");
  const walks = walksIn(page);

  it("is written down from a create to the switch, and to the last command on the host", () => {
    assert.equal(walks.length, 2);
    for (const [first] of walks) assert.deepEqual(first, { file: "resources/storage-migration/lifecycle.ts", name: "create" });
  });

  for (const stops of walks)
    it(`to ${stops.at(-1)?.file} can be followed from stop to stop, and never up`, () => assert.deepEqual(brokenIn(stops, read), []));

  it("is found broken by a stop that is not there, a jump, a way up and too many stops", () => {
    const texts: Record<string, string> = {
      "flows/move/a.ts": 'import { b } from "../../journal/b.js";\nexport function a() {}\n',
      "journal/b.ts": "export function b() {}\n",
      "host/worker/c.py": '@operation("c-run")\ndef run(request):\n    pass\n',
    };
    const broken = (...list: string[]) =>
      brokenIn(
        list.map((stop) => ({ file: stop.split(":")[0] ?? "", name: stop.split(":")[1] ?? "" })),
        (file) => texts[file] ?? "",
      );
    assert.deepEqual(broken("flows/move/a.ts:a", "journal/b.ts:b"), []);
    assert.deepEqual(broken("flows/move/a.ts:other", "journal/b.ts:b"), ["flows/move/a.ts has no other"]);
    assert.deepEqual(broken("journal/b.ts:b", "host/worker/c.py:run"), ["journal/b.ts neither imports nor calls run of host/worker/c.py"]);
    assert.deepEqual(broken("journal/b.ts:b", "flows/move/a.ts:a"), [
      "flows/move/a.ts is in a higher room than journal/b.ts",
      "journal/b.ts neither imports nor calls a of flows/move/a.ts",
    ]);
    assert.equal(broken(...Array.from({ length: 13 }, () => "journal/b.ts:b"))[0], "13 stops, and 12 are allowed");
  });
});

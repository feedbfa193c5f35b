import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { exceeding, exemptFiles, type Limits, limitsFile } from "../../tools/limits.js";
import { makeFolder } from "../sandbox/folders.js";

const root = path.resolve(__dirname, "../../..");
const listed: Limits = JSON.parse(readFileSync(limitsFile, "utf8"));

describe("the limits of files, functions and parameters", function () {
  this.timeout(120_000);

  it("are exceeded by the files that are listed, as often as the list says, and by no others", () => {
    assert.deepEqual(exceeding(), listed, "Make it shorter; where it is shorter than the list says: node dist/tools/limits.js --write");
  });

  it("are not held against the listed files by the linter, and against all others", () => {
    const files = Object.entries(listed).map(([rule, counts]) => [rule, Object.keys(counts)] as const);
    assert.deepEqual(exemptFiles(), Object.fromEntries(files.filter(([, names]) => names.length > 0)));
  });

  it("are not passed by with a comment to the linter", () => {
    const ignoring = ["provider", "tools"].flatMap((folder) =>
      readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" })
        .filter((file) => file.endsWith(".ts") && /\bbiome-ignore/.test(readFileSync(path.join(root, folder, file), "utf8")))
        .map((file) => path.join(folder, file)),
    );
    assert.deepEqual(ignoring, []);
  });

  it("are found exceeded in a file that is too long, has a long function, and one of four parameters", async () => {
    const { path: folder, remove } = await makeFolder("livedisk-limits-test-");
    try {
      const lines = (count: number, start: string) => Array.from({ length: count }, (_, index) => `${start}${index};`).join("\n");
      for (const name of ["provider", "tools"]) mkdirSync(path.join(folder, name));
      writeFileSync(path.join(folder, "provider/long.ts"), lines(201, "export let a"));
      writeFileSync(path.join(folder, "provider/short.ts"), lines(200, "export let a"));
      writeFileSync(path.join(folder, "provider/function.ts"), `export function f() {\n${lines(41, "void ")}\n}`);
      writeFileSync(
        path.join(folder, "tools/four.ts"),
        "export function f(a: 1, b: 1, c: 1, d: 1) { return [a, b, c, d]; }\nexport const g = (a: 1) => a;",
      );
      assert.deepEqual(exceeding(folder), {
        "style/noExcessiveLinesPerFile": { "provider/long.ts": 1 },
        "complexity/noExcessiveLinesPerFunction": { "provider/function.ts": 1 },
        "complexity/useMaxParams": { "tools/four.ts": 1 },
      });
    } finally {
      await remove();
    }
  });
});

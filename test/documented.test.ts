/** Every argument says what it is, its default and what is refused: where a program's author reads it, and in docs/reference.md. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import ts from "typescript";
import { moveOptions } from "../provider/flows/shared/options.js";
import type { DiskStatus } from "../provider/flows/shared/status.js";
import { hostArgs } from "../provider/host/target.js";
import { domainArgs } from "../provider/hypervisor/address.js";
import { domainDiskArgs } from "../provider/resources/domain-disk/resource.js";
import { mirroredSnapshotArgs } from "../provider/resources/mirrored-snapshot/resource.js";
import { storageMigrationArgs } from "../provider/resources/storage-migration/resource.js";

const root = path.resolve(__dirname, "../..");

/** Where each schema's keys are written. */
const schemas: Record<string, readonly string[]> = {
  "provider/host/target.ts": Object.keys(hostArgs.shape),
  "provider/hypervisor/address.ts": domainArgs.options.flatMap(({ shape }) => Object.keys(shape)),
  "provider/flows/shared/options.ts": Object.keys(moveOptions.shape),
  "provider/resources/domain-disk/resource.ts": Object.keys(domainDiskArgs.shape),
  "provider/resources/storage-migration/resource.ts": Object.keys(storageMigrationArgs.shape).filter((key) => !(key in moveOptions.shape)),
  "provider/resources/mirrored-snapshot/resource.ts": [...Object.keys(mirroredSnapshotArgs.shape), "disk", "file", "mirror", "driver"],
};

interface Written {
  comment: string;
  schema: string;
}

/** The keys of a file's object literals whose values are schemas, with the comment before each. */
function keysOf(file: string, text: string): Map<string, Written> {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found = new Map<string, Written>();
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAssignment(node) && !found.has(node.name.getText())) {
      const comment = ts.getJSDocCommentsAndTags(node).map((doc) => doc.getText());
      found.set(node.name.getText(), { comment: comment.join("\n"), schema: node.initializer.getText() });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** What an argument's comment lacks. */
function lacking({ comment, schema }: Written): string[] {
  const isOptional = /\.(default|optional)\(|moveOptions\.shape/.test(schema);
  const isRefused = comment.includes("Refused.");
  const isShared = /^(hostArgs|domainArgs|diskName)$/.test(schema);
  return [
    ...(comment.replace(/[/*\s]/g, "").length < 10 ? ["what it is"] : []),
    ...(isOptional && !isRefused && !comment.includes("@default") ? ["@default"] : []),
    ...(!isShared && !comment.includes("@throws") ? ["@throws"] : []),
  ];
}

/** What a comment says of the words of a type. */
function statusesIn(text: string): { word: string; meaning: string }[] {
  return [...text.matchAll(/^ \* - `([^`]+)`: (.*)\.$/gm)].map(([, word = "", meaning = ""]) => ({ word, meaning }));
}

/** Sources of ours below a folder. */
function sourcesIn(folder: string): string[] {
  const all = readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" });
  return all.filter((name) => name.endsWith(".ts")).map((name) => `${folder}/${name}`);
}

/** What readers of the repository do not have. */
const elsewhere = /\bdesign(,? section)? \d/;

describe("the comments", () => {
  it("cite no design by number: what was decided is in docs/decisions", () => {
    const citing = [...sourcesIn("provider"), ...sourcesIn("test")].filter((file) =>
      elsewhere.test(readFileSync(path.join(root, file), "utf8")),
    );
    assert.deepEqual(citing, []);
  });

  it("would be found with such a citation", () => {
    for (const comment of ["(design", "(design, section"]) assert.match(`${comment} 4)`, elsewhere);
  });
});

describe("the documentation of the arguments", () => {
  for (const [file, keys] of Object.entries(schemas)) {
    it(`says of each in ${file} what it is, its default and what is refused`, () => {
      const written = keysOf(file, readFileSync(path.join(root, file), "utf8"));
      for (const key of keys) {
        const found = written.get(key);
        assert.ok(found, `${file} has no key ${key}`);
        assert.deepEqual(lacking(found), [], `${key} in ${file}`);
      }
    });
  }

  it("would be found wanting", () => {
    const bare = keysOf("bare.ts", "const keys = { size: z.int().default(0) };").get("size");
    assert.deepEqual(bare && lacking(bare), ["what it is", "@default", "@throws"]);
  });

  for (const file of ["provider/flows/shared/status.ts", "provider/flows/mirrored-snapshot/status.ts"])
    it(`says of each status in ${file} what it means, in the same words as docs/reference.md`, () => {
      const told = statusesIn(readFileSync(path.join(root, file), "utf8"));
      const table = ["| `status` | meaning |", "|---|---|", ...told.map(({ word, meaning }) => `| \`${word}\` | ${meaning} |`), ""];
      assert(readFileSync(path.join(root, "docs/reference.md"), "utf8").includes(`${table.join("\n")}\n`), table.join("\n"));
    });

  it("says what every status means, and that of no other", () => {
    const wordsOf = (file: string) => statusesIn(readFileSync(path.join(root, file), "utf8")).map(({ word }) => word);
    const words: Record<DiskStatus, true> = {
      settled: true,
      elsewhere: true,
      moving: true,
      switching: true,
      "cleaning-up": true,
      undoing: true,
      "needs-attention": true,
    };
    assert.deepEqual(wordsOf("provider/flows/shared/status.ts"), Object.keys(words));
    const ofSnapshots = Object.keys(words).filter((word) => word !== "undoing");
    assert.deepEqual(wordsOf("provider/flows/mirrored-snapshot/status.ts"), ofSnapshots);
  });

  it("is in docs/reference.md: a row for every argument", () => {
    const reference = readFileSync(path.join(root, "docs/reference.md"), "utf8");
    const rows = reference.split("\n").filter((line) => line.startsWith("| "));
    const named = new Set(
      rows.flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`(?:host\.|domain\.)?(\w+)`/g)].map(([, name]) => name)),
    );
    const all = [...Object.values(schemas).flat()].filter((key) => key !== "host" && key !== "domain");
    assert.deepEqual(
      all.filter((key) => !named.has(key)),
      [],
    );
  });
});

/** Every argument says what it is, its default and what is refused: where a program's author reads it, and in docs/reference.md. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { DiskStatus } from "../provider/flows/shared/status.js";
import { keysIn, parse, read, type Written, wordsOf } from "../tools/reference/comments.js";
import { file as reference, withTables } from "../tools/reference/page.js";
import { places as argumentPlaces, tables } from "../tools/reference/tables.js";

const root = path.resolve(__dirname, "../..");

/** What an argument's comment lacks. */
function lacking({ comment, value: schema }: Written): string[] {
  const isOptional = /\.(default|optional)\(|moveOptions\.shape/.test(schema);
  const isRefused = comment.includes("Refused.");
  const isShared = /^(hostArgs|domainArgs|diskName)$/.test(schema);
  return [
    ...(comment.replace(/[/*\s]/g, "").length < 10 ? ["what it is"] : []),
    ...(isOptional && !isRefused && !comment.includes("@default") ? ["@default"] : []),
    ...(!isShared && !comment.includes("@throws") ? ["@throws"] : []),
  ];
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
  const everywhere = ["domain-disk", "storage-migration", "mirrored-snapshot"].map((name) => ({
    file: `provider/resources/${name}/resource.ts`,
    keys: ["host", "domain"],
  }));
  for (const [of, places] of Object.entries({ ...argumentPlaces, "every resource": everywhere }))
    it(`says of each of ${of} what it is, its default and what is refused`, () => {
      for (const { file, keys } of places) {
        const written = keysIn(read(file));
        for (const key of keys) {
          const found = written.get(key);
          assert.ok(found, `${file} has no key ${key}`);
          assert.deepEqual(lacking(found), [], `${key} in ${file}`);
        }
      }
    });

  it("would be found wanting", () => {
    const bare = keysIn(parse("bare.ts", "const keys = { size: z.int().default(0) };")).get("size");
    assert.deepEqual(bare && lacking(bare), ["what it is", "@default", "@throws"]);
  });
});

describe("docs/reference.md", () => {
  it("has the tables that the comments make (`npm run reference`)", () => {
    const page = readFileSync(reference, "utf8");
    assert.equal(withTables(page), page);
  });

  it("has a place for every table, and a table for every place", () => {
    const made = { one: ["| a |"] };
    assert.equal(withTables("x\n<!-- table: one -->\nold\n<!-- end -->\ny", made), "x\n<!-- table: one -->\n\n| a |\n\n<!-- end -->\ny");
    assert.throws(() => withTables("nothing", made), /no place for one/);
    assert.throws(() => withTables("<!-- table: two -->\n<!-- end -->", made), /there is no such table/);
  });

  it("shows of a comment its first paragraph, its default as code, and what replaces what is deprecated", () => {
    const { common = [], "outputs of DomainDisk": outputs = [] } = tables();
    assert(common.some((row) => /^\| `host\.privilege` \| `user`: .* \| `"user"` \|$/.test(row)));
    assert(outputs.some((row) => row.startsWith("| `phase` | Deprecated since 0.2.0: use `status`.")));
    assert(!outputs.some((row) => row.includes("A state of 0.1.0")));
  });

  it("says what every status means, and that of no other", () => {
    const words: Record<DiskStatus, true> = {
      settled: true,
      elsewhere: true,
      moving: true,
      switching: true,
      "cleaning-up": true,
      undoing: true,
      "needs-attention": true,
    };
    const told = (file: string, type: string) => wordsOf(read(file), type).map(({ name }) => name);
    assert.deepEqual(told("provider/flows/shared/status.ts", "DiskStatus"), Object.keys(words));
    const ofSnapshots = Object.keys(words).filter((word) => word !== "undoing");
    assert.deepEqual(told("provider/flows/mirrored-snapshot/status.ts", "SnapshotStatus"), ofSnapshots);
  });
});

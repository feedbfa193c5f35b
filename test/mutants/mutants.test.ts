/** Which mutants are made of a text, and which of them are drawn. */

import assert from "node:assert/strict";
import ts from "typescript";
import { Compiler } from "./compiler.js";
import { draw } from "./draw.js";
import { applied, type Edit, type Kind, kinds, mutantOf } from "./edit.js";
import { isReadable, programEdits } from "./programs.js";
import { nearest, Reach } from "./reach.js";
import { editsOf } from "./statements.js";

const parse = (text: string) => ts.createSourceFile("provider/sample.ts", text, ts.ScriptTarget.Latest, true);

/** Each as the sample's text without the blanks that a change leaves. */
function made(text: string, kind: Kind, edits: (source: ts.SourceFile) => Edit[] = editsOf): string[] {
  const own = edits(parse(text)).filter((edit) => edit.kind === kind);
  return own.map((edit) => inOneLine(applied(text, edit)));
}

function inOneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

const samples: { fact: string; kind: Kind; text: string; made: string[] }[] = [
  {
    fact: "a check is dropped with what it throws or returns",
    kind: "check",
    text: "function f(a: number) { if (a > 1) throw new Error(); if (a) { g(); return 1; } if (a) g(); else return 2; return 3; }",
    made: [
      "function f(a: number) { if (a) { g(); return 1; } if (a) g(); else return 2; return 3; }",
      "function f(a: number) { if (a > 1) throw new Error(); if (a) g(); else return 2; return 3; }",
    ],
  },
  {
    fact: "a call that checks is dropped",
    kind: "check",
    text: "async function f() { await checkAlone(); g(); }",
    made: ["async function f() { g(); }"],
  },
  { fact: "an operand of a condition is dropped", kind: "condition", text: "h(a && b);", made: ["h(a);", "h(b);"] },
  {
    fact: "a comparison is turned round",
    kind: "condition",
    text: "h(a === b); h(a < b);",
    made: ["h(a !== b); h(a < b);", "h(a === b); h(a >= b);"],
  },
  { fact: "a condition is no longer denied", kind: "condition", text: "h(!a);", made: ["h(a);"] },
  {
    fact: "an awaited call is dropped, and a sync that nobody awaits",
    kind: "sync",
    text: "async function f() { await write(); fsyncLater(); g(); }",
    made: ["async function f() { fsyncLater(); g(); }", "async function f() { await write(); g(); }"],
  },
  {
    fact: "two neighbouring steps change places",
    kind: "steps",
    text: "async function f() { await write(); g(); const a = b; }",
    made: ["async function f() { g(); await write(); const a = b; }"],
  },
  {
    fact: "two names that are gone through change places where each is done after the other",
    kind: "steps",
    text: 'for (const a of ["b", "c"]) write(a);',
    made: ['for (const a of ["c", "b"]) write(a);'],
  },
  { fact: "two neighbours in a list of names change places", kind: "steps", text: 'h(["a", "b", ...c]);', made: ['h(["b", "a", ...c]);'] },
];

const nothing: Record<string, string> = {
  types: "type A = { b: [string, number]; c: typeof d extends true ? 1 : 2 };",
  "what is said": "async function f() { throw new UserError(a === b ? c : d); await run.say(!a); }",
  "a text's parts": "h(`$" + "{a === b} $" + "{!c}`);",
  "lists without an order": 'const a = new Set(["b", "c"]); const d = ["e", "f"]; h(d.includes("e"));',
  "names under which listeners are kept": 'for (const name of ["b", "c"] as const) { process.once(name, () => h(name)); }',
  "two checks side by side": "async function f() { checkA(); checkB(); }",
};

const program = `const script = \`
set -u
[ -e "$1" ] || exit 1
mv -- "$1" "$2"
sync -- "$2"
while read -r a; do
  echo "$a"
done
\`;`;

describe("a mutant", () => {
  for (const { fact, kind, text, made: wanted } of samples) it(`is made so that ${fact}`, () => assert.deepEqual(made(text, kind), wanted));

  for (const [what, text] of Object.entries(nothing)) {
    it(`is not made of ${what}`, () => {
      const own = editsOf(parse(text)).filter(({ kind }) => kind !== "check" && kind !== "sync");
      assert.deepEqual(own, []);
    });
  }

  it("of a program for hosts lacks its sync", () => {
    assert.deepEqual(made(program, "sync", programEdits), [inOneLine(program.replace('sync -- "$2"', ""))]);
  });

  it("of a program for hosts lacks a check, or only its end", () => {
    assert.deepEqual(made(program, "check", programEdits), [
      inOneLine(program.replace(" || exit 1", "")),
      inOneLine(program.replace('[ -e "$1" ] || exit 1', "")),
    ]);
  });

  it("of a program for hosts has two lines in each other's place, but none of a loop's own", () => {
    const swapped = made(program, "steps", programEdits);
    assert.ok(swapped.includes(inOneLine(program.replace(/(mv .*)\n(sync .*)/, "$2\n$1"))), swapped.join("\n"));
    assert.ok(
      swapped.every((text) => text.includes('while read -r a; do echo "$a" done')),
      swapped.join("\n"),
    );
  });

  for (const [one, other, count] of [
    ["left=$((left - 6))", "shift 6", 0],
    ["words=none", 'mkdir "$room"', 0],
    ["left=$((left - 6))", 'echo "$left"', 1],
    ["first=$1", "shift", 1],
    ["words=none", "answer", 1],
    ["left=$(($# - 6))", "shift 6", 1],
    ["status=$?", "sync", 1],
    ['words="ended"', "return 1", 1],
    ["next=$left", "left=$((left - 6))", 1],
  ] as const)
    it(`of a program for hosts has \`${one}\` and \`${other}\` in ${count === 0 ? "no other" : "each other's"} place`, () => {
      const text = `const script = \`\nset -u\n  ${one}\n  ${other}\ntrue\n\`;`;
      assert.equal(made(text, "steps", programEdits).filter((each) => each.includes(`${other} ${one}`)).length, count);
    });

  it("that the program's interpreter does not read is known", () => {
    const at = program.indexOf("done");
    assert.equal(isReadable(parse(program), { kind: "steps", start: at, end: at + 4, text: "" }), false);
    const sync = program.indexOf("sync");
    assert.equal(isReadable(parse(program), { kind: "sync", start: sync, end: sync + 4, text: "" }), true);
  });

  it("is told with its line and what was there", () => {
    const { line, diff } = mutantOf("provider/a.ts", "one\ntwo < 3", { kind: "condition", start: 8, end: 9, text: ">=" });
    assert.deepEqual([line, diff], [2, "- < + >="]);
  });
});

describe("a draw of mutants", () => {
  const text = (name: string) =>
    `export async function ${name}(a: boolean, b: boolean) { if (a && b) return; await ${name}(b, a); ${name}(a, !b); }`;
  const sources = new Map(["a", "b", "c", "d", "e"].map((name) => [`provider/${name}.ts`, text(name)]));
  const drawn = (seed: number, count: number) => draw(sources, seed, count, () => true);

  it("is the same for the same seed, and another for another", () => {
    assert.deepEqual(drawn(1, 10), drawn(1, 10));
    assert.notDeepEqual(drawn(1, 10), drawn(2, 10));
  });

  it("begins with the mutants of a shorter one", () => assert.deepEqual(drawn(3, 12).slice(0, 5), drawn(3, 5)));

  it("takes all kinds in turn", () => {
    const found = drawn(4, 8).map(({ kind }) => kind);
    assert.deepEqual(
      kinds.map((kind) => found.filter((one) => one === kind).length),
      [2, 2, 2, 2],
    );
  });

  it("takes from each file before it takes from one again, however large that is", () => {
    const large = new Map([...sources, ["provider/z.ts", Array.from({ length: 50 }, (_, index) => text(`z${index}`)).join("\n")]]);
    const files = draw(large, 5, 6, () => true).map(({ file }) => file);
    assert.deepEqual(new Set(files).size, 6);
  });

  it("ends with the places, never with the same one twice", () => {
    const all = drawn(6, 1000);
    assert.equal(new Set(all.map(({ file, start, end, text: inserted }) => `${file} ${start} ${end} ${inserted}`)).size, all.length);
    assert.ok(all.length > 0 && all.length < 1000);
  });

  it("holds none that does not compile", function () {
    this.timeout(30_000);
    const sample =
      "export function f(a: string | undefined) { if (a === undefined) return 0; if (a.length > 9) return 9; return a.length; }";
    const small = new Map([["provider/sample.ts", sample]]);
    const compiler = new Compiler(small);
    const diffs = draw(small, 7, 20, (mutant) => compiler.accepts(mutant)).map(({ diff }) => diff);
    assert.deepEqual(diffs.sort(), ["- > + <=", "- if (a.length > 9) return 9;"]);
  });
});

describe("the tests of a mutant", () => {
  it("are those that run its file, the nearest first", () => {
    const reach = new Reach(
      new Map([
        ["provider/x.ts", ""],
        ["provider/y.ts", 'import "./x.js";'],
        ["test/far.test.ts", 'import "../provider/y.js";'],
        ["test/near.test.ts", 'import "../provider/x.js";'],
        ["test/types.test.ts", 'import type { X } from "../provider/x.js";'],
        ["test/started.test.ts", 'start(path.join(__dirname, "other.js"));'],
        ["test/other.ts", 'import "../provider/y.js";'],
      ]),
    );
    const tests = ["far", "near", "started", "types"].map((name) => `test/${name}.test.js`);
    assert.deepEqual(nearest("provider/x.ts", tests, reach), ["test/near.test.js", "test/far.test.js", "test/started.test.js"]);
  });
});

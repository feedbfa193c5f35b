import assert from "node:assert/strict";
import fc from "fast-check";
import { plainLine, plainLines } from "../../provider/pulumi/plain-text.js";

const command = /^\s*::|##(\[|vso\[|teamcity\[)/im;
const text = fc.array(
  fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("::", " ::error::", "##[", "##vso[a]", "\n", "\r", "\u2028", "\t::")),
);

describe("text for logs", () => {
  for (const [said, shown] of [
    ["the disk is full\u001b[1A", "the disk is full\\x1b[1A"],
    ["50 %\rdone\n::error::x", "50 %\\rdone\\n::error::x"],
    ["  ::error::x", "  \\x3a:error::x"],
    ["a ##[warning]b ##VSO[c]d", "a #\\x23[warning]b #\\x23VSO[c]d"],
    ["a\u0085b\u202ec\ufeff", "a\\x85b\\u202ec\\ufeff"],
    ["lone \ud800 half", "lone \ufffd half"],
  ] as const)
    it(`shows ${JSON.stringify(said)} as what it is`, () => assert.equal(plainLine(said), shown));

  it("keeps names in any script, and our own signs", () => {
    for (const name of [
      "/srv/bäse 日本/क्षि/می\u200cخواهم.qcow2",
      "👩\u200d💻.raw",
      'Unable to move "a:b::c": 3 × 64 KiB, #1 … (db-3:2222).',
    ])
      assert.equal(plainLine(name), name);
  });

  it("holds no control character and no command, whatever it was made of", () => {
    fc.assert(
      fc.property(text, (parts) => {
        const line = plainLine(parts.join(""));
        assert.doesNotMatch(line, /\p{Cc}|[\u202a-\u202e\u2066-\u2069\u2028\u2029]/u);
        assert.doesNotMatch(line, command);
        const lines = plainLines(parts.join(""));
        assert.equal(lines.split("\n").length, parts.join("").split("\n").length);
        assert.doesNotMatch(lines, command);
      }),
      { numRuns: 500 },
    );
  });

  it("is cut in the middle where it is long: its start and its end are what a reader needs", () => {
    const long = plainLine(`Unable to move vda: ${"x".repeat(1_000_000)}. Free space.`);
    assert(long.length < 20_000, String(long.length));
    assert.match(long, /^Unable to move vda: x+ … \(\d+ characters are left out\) … x+\. Free space\.$/);
  });
});

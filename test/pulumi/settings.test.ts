import assert from "node:assert/strict";
import { isKind } from "../../provider/errors.js";
import { readCredentials, readMovesPerHost } from "../../provider/pulumi/settings.js";

const config = (values: Record<string, string>) => ({ get: (key: string) => values[key] });

describe("the settings of the stack's config", () => {
  it("are the secrets that are set, and nothing else", () => {
    const read = readCredentials(config({ "livedisk:password": "p", "livedisk:passphrase": "", "livedisk:other": "o" }));
    assert.deepEqual(read, { password: "p" });
  });

  for (const [text, expected] of [
    [undefined, undefined],
    ["", undefined],
    ["1", 1],
    ["12", 12],
  ] as const)
    it(`have ${expected ?? "no"} moves per host where ${JSON.stringify(text)} is set`, () => {
      assert.equal(readMovesPerHost(config(text === undefined ? {} : { "livedisk:movesPerHost": text })), expected);
    });

  for (const text of ["0", "-1", "two", "1.5", "99999", " 2"])
    it(`are refused in words with ${JSON.stringify(text)} moves per host`, () => {
      const read = () => readMovesPerHost(config({ "livedisk:movesPerHost": text }));
      assert.throws(read, (thrown) => isKind(thrown, "user") && thrown instanceof Error && thrown.message.includes(`is "${text}"`));
    });
});

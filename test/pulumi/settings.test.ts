import assert from "node:assert/strict";
import { isKind } from "../../provider/core/errors.js";
import { readCredentials, readMovesPerHost } from "../../provider/pulumi/settings.js";

const config = (values: Record<string, string | null>) => ({ get: (key: string) => values[key] });

describe("the settings of the stack's config", () => {
  it("are the secrets that are set, and nothing else", () => {
    const read = readCredentials(config({ "livedisk:password": "p", "livedisk:passphrase": "", "livedisk:other": "o" }));
    assert.deepEqual(read, { password: "p" });
  });

  it("are not set where a secret of the Provider's has no value, which comes as null", () => {
    const keys = ["privateKey", "passphrase", "password", "passwordFor", "movesPerHost"];
    const empty = config(Object.fromEntries(keys.map((key) => [`livedisk:${key}`, null])));
    assert.deepEqual(readCredentials(empty), {});
    assert.equal(readMovesPerHost(empty), undefined);
  });

  it("hold the hosts that a password may be sent to, as the engine hands a list over", () => {
    const read = readCredentials(
      config({ "livedisk:passwordFor": '["db-3.example.org","10.0.0.7:2222","2001:db8::7","[2001:db8::7]:22"]' }),
    );
    assert.deepEqual(read, { passwordFor: ["db-3.example.org", "10.0.0.7:2222", "2001:db8::7", "[2001:db8::7]:22"] });
  });

  for (const [text, words] of [
    ["db-3.example.org", 'is "db-3.example.org", and not a list'],
    ['{"0":"db-3"}', "and not a list"],
    ['["db-3","root@db-4"]', 'holds "root@db-4", which is neither'],
    ['["*.example.org"]', 'holds "*.example.org", which is neither'],
    ["[3]", "holds 3, which is neither"],
    ["[null]", "holds null, which is neither"],
    ['[""]', 'holds "", which is neither'],
  ] as const)
    it(`are refused in words with passwordFor ${text}`, () => {
      const read = () => readCredentials(config({ "livedisk:passwordFor": text }));
      assert.throws(read, (thrown) => isKind(thrown, "user") && thrown.message.includes(words));
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

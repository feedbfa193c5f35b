/** What the rooms share: amounts, JSON of others. */

import assert from "node:assert/strict";
import { bytesText } from "../../provider/core/bytes.js";
import { parseJson } from "../../provider/core/json.js";

describe("an amount in a sentence", () => {
  it("has one decimal below 100, and none where it is zero", () => {
    const texts = [0, 1023, 1024, 1536, 96 * 2 ** 20, 100.4 * 2 ** 30, 2 ** 60].map((bytes) => bytesText(bytes));
    assert.deepEqual(texts, ["0 bytes", "1023 bytes", "1 KiB", "1.5 KiB", "96 MiB", "100 GiB", "1024 PiB"]);
  });

  it("is never less than what is needed where it is rounded up", () => {
    assert.equal(bytesText(1.01 * 2 ** 20, "up"), "1.1 MiB");
    assert.equal(bytesText(100.01 * 2 ** 20, "up"), "101 MiB");
    assert.equal(bytesText(1.01 * 2 ** 20), "1 MiB");
  });
});

describe("a text that is not JSON", () => {
  it("is nothing, for a schema to refuse", () =>
    assert.deepEqual([parseJson("{"), parseJson("null"), parseJson("[1]")], [undefined, null, [1]]));
});

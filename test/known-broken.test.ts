/** The list of rows that are known to fail says what is true. */

import assert from "node:assert/strict";
import { judge, type Result } from "./known-broken.js";

const results: Result[] = [
  { title: "a row that fails", state: "failed", message: "lost 3" },
  { title: "a row that passes", state: "passed" },
  { title: "a row that was left out", state: "skipped" },
];

describe("rows that are known to be broken", () => {
  it("count as broken, not as failed, while they fail", () => {
    const verdict = judge(results, { "a row that fails": "the next issue" }, "all");
    assert.deepEqual([verdict.passed, verdict.failed, verdict.skipped], [1, 0, 1]);
    assert.deepEqual(verdict.broken, [results[0]]);
  });

  it("fail the run as soon as they pass", () => {
    const verdict = judge(results, { "a row that passes": "the next issue" }, "some");
    assert.deepEqual([verdict.passed, verdict.failed], [0, 2]);
    assert.deepEqual(verdict.complaints, ['"a row that passes" passes: take it out of test/known-broken.json.']);
  });

  it("fail a whole run if there is no such row any more, but not a run of some files", () => {
    const listed = { "a row that went": "the next issue" };
    assert.equal(judge(results, listed, "some").failed, 1);
    assert.deepEqual(judge(results, listed, "all").complaints, [
      '"a row that went" is listed in test/known-broken.json, and there is no such test.',
    ]);
  });

  it("are not among those that needed a second turn, and which are counted however that one ended", () => {
    const again: Result[] = [
      { title: "a slow row", state: "passed", firstFailure: "late" },
      { title: "a row that fails twice", state: "failed", message: "lost 3", firstFailure: "late" },
      { title: "a row that fails", state: "failed", firstFailure: "lost 3" },
    ];
    const verdict = judge([...again, ...results], { "a row that fails": "the next issue" }, "some");
    assert.deepEqual(verdict.again, again.slice(0, 2));
  });
});

/** The four kinds of error, by what a caller can do. */

import assert from "node:assert/strict";
import {
  BugError,
  impossible,
  isKind,
  isOurs,
  messageOf,
  OutcomeUnknownError,
  UnreachableError,
  UserError,
} from "../../provider/core/errors.js";

const ours = [new UserError("a"), new UnreachableError("b"), new OutcomeUnknownError("c"), new BugError("d")];

describe("an error of ours", () => {
  it("has a kind, and its class's name", () => {
    assert.deepEqual(
      ours.map(({ kind, name }) => [kind, name]),
      [
        ["user", "UserError"],
        ["unreachable", "UnreachableError"],
        ["outcome-unknown", "OutcomeUnknownError"],
        ["bug", "BugError"],
      ],
    );
    assert.ok(ours.every(isOurs));
  });

  it("is known also from another copy of the module, by its kind", () => {
    const other = Object.assign(new Error("the disk is full"), { kind: "user" });
    assert.equal(isKind(other, "user"), true);
    assert.equal(isKind(other, "bug"), false);
    assert.equal(isOurs(other), true);
  });

  it("is an Error: neither a bag with a kind nor another error is", () => {
    for (const thrown of [{ kind: "user" }, new Error("x"), Object.assign(new Error("x"), { kind: "nonsense" }), "user", undefined]) {
      assert.equal(isKind(thrown, "user"), false);
      assert.equal(isOurs(thrown), false);
    }
  });

  it("keeps its cause, and has no code that gRPC would take for a status", () => {
    const cause = new Error("why");
    assert.ok([new UserError("a", { cause }), new BugError("a", { cause })].every((error) => error.cause === cause && !("code" in error)));
  });

  it("asks for a report where it is our fault", () => {
    assert.equal(new BugError("It is odd.").message, "It is odd. This is a fault of pulumi-livedisk: please report it.");
    assert.throws(() => impossible("x" as never), /Reached a state that cannot be: "x"\..*please report it/);
  });

  it("is told in words, whatever was thrown", () => {
    assert.deepEqual([messageOf(new Error("a")), messageOf("b"), messageOf(undefined)], ["a", "b", "undefined"]);
  });
});

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { providerFor } from "../../provider/dynamic.js";

/** What every resource in every state holds. Never change a byte of it. */
const literal = 'exports.handler = () => require("pulumi-livedisk/dynamic").providerFor("DomainDisk")';

/** A user's project: the provider process evaluates the text there. */
const project = resolve(__dirname, "../../../examples/quickstart");

function evaluate(text: string): unknown {
  const exported: { handler?: () => unknown } = {};
  new Function("exports", "require", text)(exported, createRequire(join(project, "nothing.js")));
  return exported.handler?.();
}

describe("the text in __provider", () => {
  it("loads the package's dynamic entry from a project's folder", () => {
    assert.throws(() => evaluate(literal.replace("DomainDisk", "Nothing")), { message: /Unable to load Nothing: this version/ });
  });

  it("says which Node.js it needs where that is too old", () => {
    assert.throws(() => providerFor("DomainDisk", "20.20.2"), {
      message: /needs Node\.js 22 or newer, and this is 20\.20\.2\. Nothing was touched/,
    });
    assert.ok(providerFor("DomainDisk", "22.0.0"));
  });

  for (const type of ["DomainDisk", "MirroredSnapshot", "StorageMigration"]) {
    it(`gives the same provider of ${type} each time, with all that the SDK calls`, () => {
      const provider = evaluate(literal.replace("DomainDisk", type));
      assert.equal(provider, evaluate(literal.replace("DomainDisk", type)));
      const methods = ["configure", "check", "diff", "create", "read", "update", "delete"];
      assert.deepEqual(
        methods.filter((method) => typeof Reflect.get(Object(provider), method) !== "function"),
        [],
      );
    });
  }
});

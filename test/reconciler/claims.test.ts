/** One disk has one owner of its place, in one process. */

import assert from "node:assert/strict";
import { isKind } from "../../provider/core/errors.js";
import { claim, disclaim } from "../../provider/reconciler/claims.js";

const urn = (name: string) => `urn:pulumi:dev::project::livedisk:index:DomainDisk::${name}`;

describe("the claim on a disk", () => {
  it("is refused to a second resource, with an error that names both, whatever name each uses for the disk", () => {
    claim("one", "vda", urn("first"), "vda");
    claim("one", "vda", urn("first"), "again");
    assert.throws(
      () => claim("one", "vda", urn("second"), "drive-0"),
      (thrown) =>
        isKind(thrown, "user") &&
        /manage drive-0: livedisk:index:DomainDisk second and livedisk:index:DomainDisk first are the same disk .* Nothing was touched/.test(
          thrown.message,
        ),
    );
  });

  it("leaves other disks of the guest, and disks of other guests, free for other resources", () => {
    claim("two", "vda", urn("first"), "vda");
    claim("two", "vdb", urn("second"), "vdb");
    claim("three", "vda", urn("second"), "vda");
  });

  it("is neither recorded nor refused for a resource without a URN", () => {
    claim("four", "vda", "", "vda");
    claim("four", "vda", urn("first"), "vda");
    claim("four", "vda", "", "vda");
    assert.throws(() => claim("four", "vda", urn("second"), "vda"));
  });

  it("is released only by the resource that holds it", () => {
    claim("five", "vda", urn("first"), "vda");
    disclaim("five", "vda", urn("second"));
    assert.throws(() => claim("five", "vda", urn("second"), "vda"));
    disclaim("five", "vda", urn("first"));
    claim("five", "vda", urn("second"), "vda");
  });
});

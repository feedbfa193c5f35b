/** One disk has one owner of its place, in one process. */

import assert from "node:assert/strict";
import { isKind } from "../../provider/core/errors.js";
import { DiskOwners } from "../../provider/reconciler/disk-owners.js";

const urn = (name: string) => `urn:pulumi:dev::project::livedisk:index:DomainDisk::${name}`;

describe("the place of a disk", () => {
  let owners: DiskOwners;
  beforeEach(() => {
    owners = new DiskOwners();
  });

  it("is refused to a second resource, with an error that names both, whatever name each uses for the disk", () => {
    owners.acquire("one", "vda", { urn: urn("first"), disk: "vda" });
    owners.acquire("one", "vda", { urn: urn("first"), disk: "again" });
    assert.throws(
      () => owners.acquire("one", "vda", { urn: urn("second"), disk: "drive-0" }),
      (thrown) =>
        isKind(thrown, "user") &&
        /manage drive-0: livedisk:index:DomainDisk second and livedisk:index:DomainDisk first are the same disk .* Nothing was touched/.test(
          thrown.message,
        ),
    );
  });

  it("leaves other disks of the guest, and disks of other guests, free for other resources", () => {
    owners.acquire("two", "vda", { urn: urn("first"), disk: "vda" });
    owners.acquire("two", "vdb", { urn: urn("second"), disk: "vdb" });
    owners.acquire("three", "vda", { urn: urn("second"), disk: "vda" });
  });

  it("is neither recorded nor refused for a resource without a URN", () => {
    owners.acquire("four", "vda", { urn: "", disk: "vda" });
    owners.acquire("four", "vda", { urn: urn("first"), disk: "vda" });
    owners.acquire("four", "vda", { urn: "", disk: "vda" });
    assert.throws(() => owners.acquire("four", "vda", { urn: urn("second"), disk: "vda" }));
  });

  it("is released only by the resource that holds it", () => {
    owners.acquire("five", "vda", { urn: urn("first"), disk: "vda" });
    owners.release("five", "vda", urn("second"));
    assert.throws(() => owners.acquire("five", "vda", { urn: urn("second"), disk: "vda" }));
    owners.release("five", "vda", urn("first"));
    owners.acquire("five", "vda", { urn: urn("second"), disk: "vda" });
  });
});

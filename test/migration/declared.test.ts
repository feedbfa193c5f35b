import assert from "node:assert/strict";
import { asDeclared, isSeveralPlaces, severalPlacesText } from "../../provider/flows/move/look/declared.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";

const place = { host: { address: "db-3", user: "root" }, domain: { qmp: "/run/vm/web.qmp" } };
const shown = severalPlacesText([
  { place: "/path3", disks: ["/machine/peripheral/vda", "vdb"] },
  { place: "/path2//./x", disks: ["vdc"] },
]);

describe("what was declared", () => {
  it("stands for what a read has shown, and so does what was not declared", () => {
    const outputs = { storage: "/path3", base: "/path3/base", disk: "vda", declared: { storage: "/path2" } };
    assert.deepEqual(asDeclared(["storage", "base"], outputs), { disk: "vda", storage: "/path2", declared: { storage: "/path2" } });
  });

  it("is what is shown, in a state that remembers nothing", () => {
    assert.deepEqual(asDeclared(["destination"], { destination: "/path3" }), { destination: "/path3" });
    assert.deepEqual(asDeclared(["destination"], {}), {});
  });
});

describe("several places", () => {
  it("are one text, which is no path whatever the disks are called", () => {
    assert.equal(shown, "in several places: /machine/peripheral/vda, vdb in /path3; vdc in /path2//./x");
    assert(isSeveralPlaces(shown) && !isSeveralPlaces("/in several places: x") && !isSeveralPlaces(undefined));
  });

  it("are taken by check as they were shown, where a relative path is refused", () => {
    const { inputs, failures } = storageMigration.check({}, { ...place, destination: shown });
    assert.deepEqual([inputs.destination, failures], [shown, []]);
    const refused = storageMigration.check({}, { ...place, destination: "path3" });
    assert.deepEqual(
      refused.failures.map(({ property, reason }) => [property, reason]),
      [["destination", 'destination must be an absolute path on the host: it begins with "/"']],
    );
    assert.match(storageMigration.check({}, place).failures[0]?.reason ?? "", /^destination is a path/);
  });
});

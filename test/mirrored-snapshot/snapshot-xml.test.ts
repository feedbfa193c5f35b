import assert from "node:assert/strict";
import fc from "fast-check";
import { XMLParser } from "fast-xml-parser";
import { type SnapshotDisk, snapshotXml } from "../../provider/flows/mirrored-snapshot/snapshot-xml.js";

/** Not the writer's own reader: a parser that knows nothing of it. */
function read(xml: string): SnapshotDisk[] {
  const parser = new XMLParser({
    ignoreAttributes: false,
    attributeNamePrefix: "",
    parseAttributeValue: false,
    trimValues: false,
    htmlEntities: true,
    isArray: (name) => name === "disk",
  });
  const disks: { name: string; snapshot: string; driver: { type: string }; source: { file: string }; mirror: { file: string } }[] =
    parser.parse(xml).domainsnapshot.disks.disk;
  return disks.map(({ name, snapshot, driver, source, mirror }) => {
    assert.equal(snapshot, "external");
    return { disk: name, file: source.file, mirror: mirror.file, driver: driver.type };
  });
}

describe("the XML of a mirrored snapshot", () => {
  it("is the proposal's", () => {
    const xml = snapshotXml([{ disk: "vda", file: "/path1/to/old.migrate", mirror: "/path2/to/new.qcow2", driver: "qcow2" }]);
    assert.equal(
      xml.replace(/\n */g, ""),
      "<domainsnapshot><disks><disk name='vda' snapshot='external'><driver type='qcow2'/>" +
        "<source file='/path1/to/old.migrate'/><mirror file='/path2/to/new.qcow2'/></disk></disks></domainsnapshot>",
    );
  });

  it("is read back by a parser as it was, whatever the names hold", () => {
    const name = fc.string({ minLength: 1, unit: fc.constantFrom("a", "/", "'", '"', "<", ">", "&", "&amp;", ",", "ü", "]]>") });
    const disk = fc.record({ disk: name, file: name, mirror: name, driver: fc.constant("qcow2") });
    fc.assert(
      fc.property(fc.array(disk, { minLength: 1, maxLength: 3 }), (disks) => {
        assert.deepEqual(
          read(snapshotXml(disks)),
          disks.map((each) => ({ ...each })),
        );
      }),
    );
  });
});

import assert from "node:assert/strict";
import { closable, namedNodes, withStrangeTop } from "../../provider/flows/shared/former-nodes.js";
import type { Seen, SeenDisk } from "../../provider/flows/shared/site.js";
import type { GuestView } from "../../provider/hypervisor/hypervisor.js";
import type { Manifest } from "../../provider/journal/manifest.js";

const layer = (path: string) => ({ path, format: "qcow2" });
const node = (name: string, file: string, driver = "qcow2") => ({ name, file, driver });

/** A guest whose disk stands on these images, by the names that its command line gave. */
function seenWith(nodes: { name: string; file: string; driver: string }[], ...chain: string[]): { seen: Seen; disk: SeenDisk } {
  const view = { nodes } as unknown as GuestView; // nothing else of it is read here
  const disk = { image: { chain: chain.map(layer) } } as unknown as SeenDisk;
  return { seen: { view, disks: [disk] }, disk };
}

const manifest = (...formerNodes: string[]) => ({ formerNodes }) as unknown as Manifest;

describe("the nodes that a move leaves behind", () => {
  const booted = [node("vda", "/a/top"), node("vda-file", "/a/top", "file"), node("base", "/a/base"), node("#block7", "/a/base", "file")];

  it("are those that somebody named, each before what it stands on", () => {
    const { seen, disk } = seenWith(booted.toReversed(), "/a/top", "/a/base");
    assert.deepEqual(namedNodes(seen.view, disk.image), ["vda", "vda-file", "base"]);
  });

  it("are not those of the live chain, although a guest that was started again gave it the same names", () => {
    const { seen, disk } = seenWith([...booted, node("old", "/b/top")], "/a/top", "/a/base");
    assert.deepEqual(closable(seen, disk, manifest("vda", "vda-file", "old")), ["old"]);
  });

  it("are one more where the active image, which a commit takes away, was opened by a command line", () => {
    const { seen, disk } = seenWith(booted, "/a/top", "/a/base");
    assert.deepEqual(withStrangeTop(seen, disk, manifest("old"))?.formerNodes, ["vda", "vda-file", "old"]);
  });

  it("are the same where we opened the active image ourselves", () => {
    const { seen, disk } = seenWith([node("lm-0123abcd-tgt-a", "/a/top")], "/a/top");
    assert.equal(withStrangeTop(seen, disk, manifest("old")), undefined);
  });
});

/** What the names in a manifest always have in common: each rule by one manifest that breaks it alone. */

import assert from "node:assert/strict";
import { diskKey, fileNames, nodeNames, quarantineName } from "../../provider/core/disk/names.js";
import { misfit } from "../../provider/journal/coherence.js";
import { committed, currentStanding, frozenFormat, imagesOf, type Manifest, pathOf, standings, switchesWritten } from "./manifests.js";

const key = diskKey("domain", "vda");
const file = fileNames.manifest(key);
const name = fileNames.overlay(key);

const { mirror, snapshot, pull } = committed(key);

type Edit = (manifest: Manifest) => void;
const overlayOf = ({ overlay }: Manifest) => overlay ?? assert.fail("it has an overlay");
const [first, second] = nodeNames.targets(key);

const rows: [title: string, of: Manifest, edit: Edit, wrong: string | undefined][] = [
  ["as a move with strategy mirror writes it", mirror, () => {}, undefined],
  ["as a move with strategy snapshot writes it", snapshot, () => {}, undefined],
  ["as a move with collapse pull writes it", pull, () => {}, undefined],
  [
    "of another guest",
    mirror,
    (m) => {
      m.domainId = "another";
    },
    "it is of another disk",
  ],
  [
    "of another disk",
    mirror,
    (m) => {
      m.qdev = "vdb";
    },
    "it is of another disk",
  ],
  [
    "whose active image lands in another directory",
    mirror,
    (m) => {
      m.destination.active = "/etc/disk.qcow2";
    },
    "its active image lands elsewhere",
  ],
  [
    "whose active image lands on a lower layer",
    mirror,
    (m) => {
      m.destination.active = "/path2/base.raw";
    },
    "its active image lands elsewhere",
  ],
  [
    "whose target is another name",
    mirror,
    (m) => void Object.assign(m.destination, { target: "/path2/other", active: "/path2/other" }),
    "its target lands elsewhere",
  ],
  [
    "whose target is in another directory",
    mirror,
    (m) => void Object.assign(m.destination, { target: "/etc/disk.qcow2", active: "/etc/disk.qcow2" }),
    "its target lands elsewhere",
  ],
  [
    "whose target has an overlay's name without one",
    mirror,
    (m) => {
      m.destination.target = `/path2/${name}`;
    },
    "its target lands elsewhere",
  ],
  ["without a chain, as 0.1.0 writes it", mirror, (m) => void delete m.chain, undefined],
  ["whose chain begins with another image", mirror, (m) => void m.chain?.shift(), "its chain does not begin with its active image"],
  [
    "whose chain is empty",
    mirror,
    (m) => {
      m.chain = [];
    },
    "its chain does not begin with its active image",
  ],
  [
    "with a layer that lands in another directory",
    mirror,
    (m) => {
      m.layers[0] = { ...layer(m), destination: "/etc/base.raw" };
    },
    "a layer lands elsewhere",
  ],
  [
    "with a layer that lands under another name",
    mirror,
    (m) => {
      m.layers[0] = { ...layer(m), destination: "/path2/other" };
    },
    "a layer lands elsewhere",
  ],
  [
    "with two layers that land under one name",
    mirror,
    (m) => void m.layers.push({ ...layer(m), source: "/elsewhere/base.raw" }),
    "two layers land under one name",
  ],
  [
    "with an overlay in another directory",
    snapshot,
    (m) => {
      overlayOf(m).path = `/etc/${name}`;
    },
    "its overlay is not named as ours are",
  ],
  [
    "with an overlay that has another name",
    pull,
    (m) => {
      overlayOf(m).path = "/path1/theirs.qcow2";
    },
    "its overlay is not named as ours are",
  ],
  [
    "with an overlay that has another disk's name",
    pull,
    (m) => {
      overlayOf(m).path = "/path1/lm-ffffffff.overlay.qcow2";
    },
    "its overlay is not named as ours are",
  ],
  [
    "with an overlay that is a layer of the disk",
    snapshot,
    (m) => void m.layers.push({ ...layer(m), source: `/path1/${name}`, destination: `/path2/${name}` }),
    "its overlay is not named as ours are",
  ],
  [
    "with an overlay that is the active image itself, left by an earlier move",
    snapshot,
    (m) => {
      m.source.active = `/path1/${name}`;
      m.chain = [{ path: `/path1/${name}`, dev: "1", ino: "1", format: "qcow2" }];
      m.layers = [];
      Object.assign(m.destination, { active: `/path2/${name}`, target: `/path2/${name}` });
      Object.assign(overlayOf(m), { landing: `/path2/${name}` });
      m.quarantine = `/path1/${quarantineName(name, key, new Date(0))}`;
    },
    "its overlay is not named as ours are",
  ],
  [
    "with a frozen image that lands elsewhere",
    snapshot,
    (m) => {
      overlayOf(m).landing = "/etc/disk.qcow2";
      m.layers[0] = { ...layer(m), destination: "/etc/disk.qcow2" };
      m.destination.active = `/path2/${name}`;
    },
    "its copied image lands elsewhere",
  ],
  [
    "with a quarantine name of another image",
    mirror,
    (m) => {
      m.quarantine = `/path1/${quarantineName("other", key, new Date(0))}`;
    },
    "its quarantine is not named as ours are",
  ],
  [
    "with a quarantine name of another disk",
    mirror,
    (m) => {
      m.quarantine = `/path1/${quarantineName("disk.qcow2", "ffffffff", new Date(0))}`;
    },
    "its quarantine is not named as ours are",
  ],
  [
    "with a quarantine name that leads out of its directory",
    mirror,
    (m) => {
      m.quarantine = `${m.quarantine}/../../etc/shadow`;
    },
    "its quarantine is not named as ours are",
  ],
  [
    "with a node of somebody's",
    mirror,
    (m) => {
      m.destination.node = "theirs";
    },
    "its nodes are not named as ours are",
  ],
  [
    "with the other of our two nodes",
    mirror,
    (m) => {
      m.destination.node = second === m.destination.node ? first : second;
    },
    undefined,
  ],
  [
    "with an overlay's node of somebody's",
    snapshot,
    (m) => {
      overlayOf(m).node = "theirs";
    },
    "its nodes are not named as ours are",
  ],
  [
    "with a landing node of somebody's",
    snapshot,
    (m) => {
      overlayOf(m).landingNode = "theirs";
    },
    "its nodes are not named as ours are",
  ],
  ["whose destination is its source", mirror, (m) => inPlace(m), "two of its images have one name"],
  [
    "with a current that is a lower layer",
    mirror,
    (m) => {
      m.current = "/path1/base.raw";
    },
    "`current` is none of its images",
  ],
  [
    "with a current at the target",
    mirror,
    (m) => {
      m.current = m.destination.target;
    },
    undefined,
  ],
  [
    "with a current at an overlay's name without one",
    mirror,
    (m) => {
      m.current = `/path1/${name}`;
    },
    "`current` is none of its images",
  ],
  [
    "with a current at the overlay",
    snapshot,
    (m) => {
      m.current = overlayOf(m).path;
    },
    undefined,
  ],
  [
    "with a current at the landed image",
    snapshot,
    (m) => {
      m.current = overlayOf(m).landing;
    },
    undefined,
  ],
];

function layer(manifest: Manifest): Manifest["layers"][number] {
  return manifest.layers[0] ?? assert.fail("it has a layer");
}

function inPlace(manifest: Manifest): void {
  const { active } = manifest.source;
  Object.assign(manifest.destination, { directory: "/path1", active, target: active });
  manifest.layers = [];
}

describe("a manifest", () => {
  for (const [title, of, edit, wrong] of rows)
    it(`${title} ${wrong === undefined ? "fits together" : `is refused: ${wrong}`}`, () => {
      const manifest = structuredClone(of);
      edit(manifest);
      assert.equal(misfit(manifest, file), wrong);
    });

  it("may have what a cut write has left behind its name", () => {
    assert.equal(misfit(mirror, `${file}.back`), undefined);
    assert.equal(misfit(mirror, `x${file}`), "it is of another disk");
  });
});

describe("the images of a move", () => {
  it("are two without an overlay, and four with one", () => {
    assert.deepEqual(Object.keys(imagesOf(mirror)).sort(), ["former", "target"]);
    assert.deepEqual(
      standings.map((standing) => pathOf(snapshot, standing)),
      ["/path1/disk.qcow2", `/path1/${name}`, `/path2/${name}`, "/path2/disk.qcow2"],
    );
  });

  for (const standing of standings)
    it(`tell that a boot goes to the ${standing} where \`current\` is its path`, () => {
      assert.equal(currentStanding({ ...snapshot, current: pathOf(snapshot, standing) }), standing);
    });

  it("tell of more switches the later `current` is, and of two more once an overlay is committed down at the source", () => {
    const counts = standings.map((standing) => switchesWritten({ ...snapshot, current: pathOf(snapshot, standing) }));
    assert.deepEqual(counts, [0, 1, 2, 3]);
    const overlay = { ...overlayOf(snapshot), committed: "source" as const };
    assert.equal(switchesWritten({ ...snapshot, overlay, current: "/path1/disk.qcow2" }), 2);
    const underWay = switchesWritten({ ...snapshot, overlay, current: `/path1/${name}` });
    assert(underWay > 1 && underWay < 2, "a side that says that the commit is being switched comes between the two");
    assert.equal(switchesWritten({ ...snapshot, overlay: { ...overlay, committed: "destination" }, current: "/path2/disk.qcow2" }), 3);
  });

  it("tell the frozen image's format as it was drafted, and only of a move that freezes one", () => {
    assert.equal(frozenFormat(snapshot), "qcow2");
    assert.throws(() => frozenFormat(mirror), /has no frozen image/);
    const { backing: _, ...destination } = snapshot.destination;
    assert.throws(() => frozenFormat({ ...snapshot, destination }), /has no frozen image/);
  });
});

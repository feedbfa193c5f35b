import assert from "node:assert/strict";
import fc from "fast-check";
import { diskKey, fileNames, nodeNames, quarantineName } from "../../provider/core/disk/names.js";
import { isKind } from "../../provider/core/errors.js";
import {
  currentStanding,
  imagesOf,
  type Manifest,
  manifestText,
  parseManifest,
  pathOf,
  switchesWritten,
} from "../../provider/journal/manifest.js";

const key = diskKey("domain", "/machine/peripheral/vda");
const path = `/path2/${fileNames.manifest(key)}`;
const identity = { dev: "1", ino: "2", sizeBytes: 3, modified: "4.5" };

const mirror: Manifest = {
  ...{ version: 1, domainId: "domain", qdev: "/machine/peripheral/vda", disk: "vda", strategy: "mirror", afterwards: "delete" },
  startedAt: "2026-01-02T03:04:05.000Z",
  source: { active: "/path1/old.qcow2", dev: "1", ino: "10" },
  written: { node: "vda-old", image: "former" },
  chain: [
    { path: "/path1/old.qcow2", dev: "1", ino: "10", format: "qcow2" },
    { path: "/path1/common.qcow2", dev: "1", ino: "2", format: "qcow2" },
    { path: "/path1/base.raw", dev: "1", ino: "2", format: "raw" },
  ],
  destination: {
    ...{ directory: "/path2", ino: "20", active: "/path2/old.qcow2", target: "/path2/old.qcow2", node: nodeNames.targets(key)[0] },
    backing: { name: "common.qcow2", format: "qcow2" },
    file: { dev: "1", ino: "21" },
  },
  layers: [
    {
      source: "/path1/common.qcow2",
      destination: "/path2/common.qcow2",
      format: "qcow2",
      identity,
      coming: "copy",
      rename: { name: "x", format: "raw" },
    },
    { source: "/path1/base.raw", destination: "/path2/base.raw", format: "raw", identity, coming: "adopt", adopted: identity },
  ],
  link: { path: "/vm/web", before: "/path1" },
  quarantine: `/path1/${quarantineName("old.qcow2", key, new Date(0))}`,
  formerNodes: ["vda-old"],
  current: "/path2/old.qcow2",
  switched: identity,
};

const snapshot: Manifest = {
  ...mirror,
  strategy: "snapshot",
  destination: { ...mirror.destination, target: `/path2/${fileNames.overlay(key)}` },
  overlay: {
    ...{ collapse: "commit", path: `/path1/${fileNames.overlay(key)}`, node: nodeNames.overlay(key), made: identity },
    ...{ landing: "/path2/old.qcow2", landingNode: nodeNames.landings(key)[1], committed: "destination" },
  },
};

const longer: Manifest = {
  ...snapshot,
  destination: { ...snapshot.destination, active: `/path2/${fileNames.overlay(key)}` },
  ...(snapshot.overlay && { overlay: { ...snapshot.overlay, collapse: "none" } }),
};

type Json = { [name: string]: Json } | Json[] | string | number;
type Place = (string | number)[];

/** Where each value stands, whole objects too. */
function placesIn(value: Json, at: Place = []): Place[] {
  if (typeof value !== "object") return [at];
  return [...(at.length > 0 ? [at] : []), ...Object.entries(value).flatMap(([name, inner]) => placesIn(inner, [...at, name]))];
}

/** The manifest with one value replaced, or taken out. */
function edited(manifest: Manifest, place: Place, value: unknown): string {
  const copy = structuredClone(manifest) as unknown as Record<string, unknown>;
  const parent = place.slice(0, -1).reduce<Record<string, unknown>>((inner, name) => inner[name] as Record<string, unknown>, copy);
  parent[place.at(-1) ?? ""] = value;
  return JSON.stringify(copy);
}

/** Names of files that a move may rename or remove. */
function touched({ source, destination, layers, overlay, quarantine }: Manifest): string[] {
  return [
    source.active,
    destination.target,
    destination.active,
    quarantine,
    ...layers.map((layer) => layer.destination),
    ...(overlay ? [overlay.path, overlay.landing] : []),
  ];
}

function read(text: string): Manifest | undefined {
  try {
    const { pending: _, ...manifest } = parseManifest(text, path);
    const { current } = manifest;
    assert(typeof current === "string", "no switch is under way");
    return { ...manifest, current };
  } catch (thrown) {
    assert(isKind(thrown, "user"), String(thrown));
    assert.match(String(thrown), /Unable to read the manifest .* Nothing was touched\. .* put its text back\.$/);
    return undefined;
  }
}

/** Names that nobody but us gives. */
const ofOurs = [`/path2/${fileNames.overlay(key)}`, `/path2/${fileNames.passing("old.qcow2", key)}`];

const values = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    "",
    "/",
    "/etc/shadow",
    "/path1/other.qcow2",
    "/path2/../etc/x",
    "/path2/other.qcow2",
    "/path1/old.qcow2",
    "other",
    "0",
    0,
    -1,
    1e300,
    true,
    [],
    {},
    "copy",
    "adopt",
    "mirror",
    "snapshot",
    "source",
  ),
  fc.jsonValue(),
);

describe("what a manifest calls current", () => {
  const at = (manifest: Manifest, current: string): Manifest => ({ ...manifest, current });

  it("is the former image or the target of a move without an overlay, and nothing else", () => {
    assert.deepEqual(imagesOf({ ...mirror }), { former: "/path1/old.qcow2", target: "/path2/old.qcow2" });
    assert.equal(currentStanding(at(mirror, mirror.source.active)), "former");
    assert.equal(currentStanding(at(mirror, mirror.destination.target)), "target");
    assert.throws(() => currentStanding(at(mirror, "/path1/other.qcow2")), /none of its images/);
    for (const standing of ["overlay", "landing"] as const) assert.throws(() => pathOf(mirror, standing), /has no overlay/);
  });

  it("tells of more switches, the further the move has come, so that of two manifests the earlier one counts", () => {
    const counts = (manifest: Manifest, ...places: (string | undefined)[]) =>
      places.map((each) => switchesWritten(at(manifest, each ?? "")));
    assert.deepEqual(counts(mirror, mirror.source.active, mirror.destination.target), [0, 2]);
    const { committed: _, ...overlay } = snapshot.overlay ?? assert.fail("it has an overlay");
    const uncommitted: Manifest = { ...snapshot, overlay };
    const places = [snapshot.source.active, overlay.path, snapshot.destination.target, overlay.landing];
    assert.deepEqual(counts(uncommitted, ...places), [0, 1, 2, 3]);
    const folded: Manifest = { ...snapshot, overlay: { ...overlay, committed: "source" } };
    assert.deepEqual(counts(folded, snapshot.source.active), [2]);
  });
});

describe("a manifest", function () {
  this.timeout(30_000);

  for (const [strategy, manifest] of [
    ["mirror", mirror],
    ["snapshot", snapshot],
    ["snapshot, not collapsed,", longer],
  ] as const) {
    it(`of strategy ${strategy} is read as it was written`, () => assert.deepEqual(read(manifestText(manifest)), manifest));

    for (const place of placesIn(manifest as unknown as Json)) {
      it(`of strategy ${strategy} whose ${place.join(".")} somebody edited leads to no other file, or is refused in words`, () => {
        fc.assert(
          fc.property(values, (value) => {
            const found = read(edited(manifest, place, value));
            if (!found) return;
            // a layer or an overlay may be missing from it, but no name of another file is in it
            for (const name of touched(found)) assert([...touched(manifest), ...ofOurs].includes(name), `${name} is not of this move`);
            if (place.join(".") === "current") assert([...touched(manifest)].includes(found.current));
          }),
          { numRuns: 60 },
        );
      });
    }
  }

  it("of another disk is refused under this one's name", () => {
    const other = { ...mirror, qdev: "/machine/peripheral/vdb" };
    assert.equal(read(JSON.stringify(other)), undefined);
  });

  it("that is cut, doubled or anything at all is refused in words", () => {
    const text = manifestText(mirror);
    fc.assert(fc.property(fc.nat(text.length - 3), (end) => assert.equal(read(text.slice(0, end)), undefined)));
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.json(), fc.constant(text + text)), (any) =>
        assert.equal(read(any), undefined),
      ),
    );
    assert.equal(read("[".repeat(1_000_000)), undefined);
  });
});

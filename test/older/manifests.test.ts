/** Manifests as 0.1.0 wrote them, one of each kind in `manifests/`: its own functions made the texts, and read them. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { diskKey, fileNames } from "../../provider/core/disk/names.js";
import { currentStanding, decidedAs, manifestText, parseManifest, type Standing } from "../../provider/journal/manifest.js";
import { currentSide, parseSnapshotManifest, snapshotDecidedAs, snapshotManifestText } from "../../provider/journal/snapshot-manifest.js";
import { isSnapshotText } from "../../provider/journal/snapshot-mark.js";

const folder = path.resolve(__dirname, "../../../test/older/manifests");
const key = diskKey("11111111-2222-3333-4444-555555555555", "/machine/peripheral/vda/virtio-backend");
const place = `/path1/${fileNames.manifest(key)}`;
const textOf = (name: string) => readFileSync(path.join(folder, `${name}.manifest`), "utf8");

const ofMoves: Record<string, Standing> = {
  "mirror-begun": "former",
  "mirror-under-way": "former",
  "mirror-switched": "target",
  "snapshot-commit-frozen": "overlay",
  "snapshot-commit-pivoted": "target",
  "snapshot-commit-landed": "landing",
  "snapshot-commit-undone": "former",
  "snapshot-pull-pivoted": "target",
  "snapshot-none-frozen": "overlay",
};

const ofSnapshots: Record<string, "source" | "destination"> = {
  "mirrored-snapshot-begun": "source",
  "mirrored-snapshot-mirrored": "source",
  "mirrored-snapshot-pivoted": "destination",
};

describe("a manifest of 0.1.0", () => {
  it("is here of each kind, and each is expected to say something", () => {
    const names = [...Object.keys(ofMoves), ...Object.keys(ofSnapshots)].map((name) => `${name}.manifest`);
    assert.deepEqual(readdirSync(folder).sort(), names.sort());
  });

  for (const [name, standing] of Object.entries(ofMoves))
    it(`of a move (${name}) is read, sends a boot to the ${standing}, and is written again as it was`, () => {
      const text = textOf(name);
      assert(!isSnapshotText(text));
      const manifest = parseManifest(text, place);
      assert.equal(currentStanding(decidedAs(manifest, "before")), standing);
      assert.equal(manifestText(manifest), text);
    });

  for (const [name, side] of Object.entries(ofSnapshots))
    it(`of a mirrored snapshot (${name}) is read, sends a boot to the ${side}, and is written again as it was`, () => {
      const text = textOf(name);
      assert(isSnapshotText(text));
      const manifest = parseSnapshotManifest(text, place);
      assert.equal(currentSide(snapshotDecidedAs(manifest, "before")), side);
      assert.equal(snapshotManifestText(manifest), text);
    });
});

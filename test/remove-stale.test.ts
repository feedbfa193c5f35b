import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { removeStale, staleIn } from "../tools/remove-stale.js";
import { makeFolder } from "./sandbox/folders.js";

describe("the build", () => {
  it("holds nothing of a source that is gone: it would be published", () => {
    const root = path.resolve(__dirname, "../..");
    assert.deepEqual(
      staleIn(root).filter((file) => file.startsWith("provider/")),
      [],
    );
  });

  it("loses what was compiled of a source that is gone, and nothing else", async () => {
    const { path: root, remove } = await makeFolder("livedisk-stale-test-");
    try {
      for (const folder of ["provider", "dist/provider"]) mkdirSync(path.join(root, folder), { recursive: true });
      const kept = ["there.d.ts", "there.js", "there.js.map", "worker.py"];
      for (const name of [...kept, "gone.js", "gone.js.map", "gone.d.ts"]) writeFileSync(path.join(root, "dist/provider", name), "");
      writeFileSync(path.join(root, "provider/there.ts"), "");
      removeStale(root);
      assert.deepEqual(readdirSync(path.join(root, "dist/provider")).sort(), kept);
    } finally {
      await remove();
    }
  });
});

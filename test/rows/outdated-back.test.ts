/** What an earlier switch has left beside a manifest that cannot be read. */

import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { diskKey, fileNames, quarantineName } from "../../provider/core/disk/names.js";
import { type Manifest, manifestText } from "../../provider/journal/manifest.js";
import { readRecords } from "../../provider/journal/records.js";
import { host, overSsh, scratch } from "../host/hosts.js";

const key = diskKey("domain", "vda");

describe("a manifest of a newer version", function () {
  overSsh(this);

  it("is refused, and not taken for what an earlier switch has left beside it", async () => {
    const folder = await scratch();
    const at = (name: string) => path.join(folder, name);
    for (const side of ["path1", "path2"]) await mkdir(at(side));
    const before: Manifest = {
      ...{ version: 1, domainId: "domain", qdev: "vda", disk: "vda", strategy: "mirror", startedAt: "2026-01-01T00:00:00.000Z" },
      source: { active: at("path1/disk.qcow2"), dev: "1", ino: "2" },
      destination: {
        ...{ directory: at("path2"), active: at("path2/disk.qcow2"), target: at("path2/disk.qcow2"), node: `lm-${key}-tgt-a` },
      },
      ...{
        layers: [],
        afterwards: "quarantine",
        quarantine: at(`path1/${quarantineName("disk.qcow2", key, new Date(0))}`),
        formerNodes: [],
      },
      current: at("path1/disk.qcow2"),
    };
    const manifest = at(`path1/${fileNames.manifest(key)}`);
    await writeFile(`${manifest}.back`, manifestText(before));
    await writeFile(manifest, manifestText({ ...before, current: at("path2/disk.qcow2") }).replace('"version": 1', '"version": 2'));
    const there = await host();
    await assert.rejects(readRecords(there.host, key, [at("path1")]), /Unable to read the manifest .* Nothing was touched/);
  });
});

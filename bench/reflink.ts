/** Strategy snapshot where source and destination share a file system that can share blocks: an XFS of our own, mounted by a loop device. */

import { mkdir } from "node:fs/promises";
import path from "node:path";
import { storageMigration } from "../provider/resources/storage-migration/lifecycle.js";
import { run } from "../test/sandbox/command.js";
import { makeFolder } from "../test/sandbox/folders.js";
import { findProgram, installMissing, updatePackageLists } from "../test/sandbox/install.js";
import { createSandbox } from "../test/sandbox/sandbox.js";
import { created, Recorder } from "../test/storage-migration/stage.js";
import { diskOf, writePauseMs } from "./disk.js";
import type { Figure } from "./figures.js";
import type { Size } from "./size.js";

const rounds = { full: 3, tiny: 1 } as const;

export async function movedByReflink(size: Size, say: (line: string) => void): Promise<Figure[]> {
  if (findProgram("mkfs.xfs") === undefined) {
    await updatePackageLists();
    await installMissing({ install: "allow", say }, ["xfsprogs"]);
  }
  say("strategy snapshot within an XFS");
  const { path: below, remove } = await makeFolder("livedisk-xfs-");
  const image = path.join(below, "xfs.img");
  const sandbox = await createSandbox("reflink");
  try {
    sandbox.defer(remove);
    const folder = path.join(sandbox.folder, "xfs");
    await mkdir(folder);
    await run("truncate", ["-s", "16G", image]);
    await run("mkfs.xfs", ["-q", "-m", "reflink=1", image]);
    await run("mount", ["-o", "loop", image, folder]);
    sandbox.defer(() => run("umount", [folder]));
    const disk = diskOf(size, path.join(folder, "path1"));
    const guest = await sandbox.startGuest({ name: "web", disks: [disk], pauseMs: writePauseMs });
    const values: number[] = [];
    for (let round = 0; round < rounds[size]; round++) {
      const destination = path.join(folder, `to-${round}`);
      await mkdir(destination);
      const args = { host: sandbox.host, domain: { qmp: guest.qmpSocket }, disks: ["vda"], destination };
      const how = { strategy: "snapshot", restartDuringMove: "from-manifest" };
      const { outputs } = await created(storageMigration, { ...args, ...how }, new Recorder());
      values.push((outputs.moves as Record<string, { seconds: number }>).vda?.seconds ?? Number.NaN);
    }
    return [{ what: "strategy snapshot within a file system that can reflink (XFS)", unit: "s", values, wanted: { atMost: 3 } }];
  } finally {
    await sandbox.dispose();
  }
}

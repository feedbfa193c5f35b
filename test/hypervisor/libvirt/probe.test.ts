/** Whether QEMU's user may use a place, by what the host can tell. As root. */

import assert from "node:assert/strict";
import { chmod, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Host } from "../../../provider/host/host.js";
import { mayUse } from "../../../provider/hypervisor/libvirt/probe.js";
import { makeFolder } from "../../sandbox/folders.js";
import { LocalHost } from "../qemu/local-host.js";

const nobody = { uid: "65534", gid: "65534" };

async function scene(mode: number): Promise<{ folder: string; file: string } & AsyncDisposable> {
  const { path: folder, remove } = await makeFolder("livedisk-probe-");
  await chmod(folder, 0o755);
  const file = path.join(folder, "probe");
  await writeFile(file, "x");
  await chmod(file, mode);
  return { folder, file, [Symbol.asyncDispose]: async () => void (await remove()) };
}

/** Commands see nothing of this machine's programs but these. */
async function withOnly(folder: string, programs: readonly string[]): Promise<Host> {
  for (const program of programs) await symlink(`/usr/bin/${program}`, path.join(folder, program));
  const local = new LocalHost();
  return Object.assign(new LocalHost(), {
    run: (script: string, args: readonly string[] = []) => local.run(`PATH='${folder}'\n${script}`, args),
  });
}

describe("a file at the destination", () => {
  it("may be used where QEMU's user can write to it", async () => {
    await using at = await scene(0o666);
    await mayUse(new LocalHost(), at.file, nobody);
  });

  it("may not be used where QEMU's user cannot write to it", async () => {
    await using at = await scene(0o600);
    await assert.rejects(mayUse(new LocalHost(), at.file, nobody), /the user 65534:65534, as whom libvirt runs QEMU, may not write there/);
  });

  it("is not said to be usable by a host that has no setpriv to find out", async () => {
    await using at = await scene(0o600);
    const host = await withOnly(at.folder, ["id"]);
    await assert.rejects(mayUse(host, at.file, nobody), /Unable to tell whether .* on here: there is no setpriv\. Install setpriv/);
  });

  it("is not said to be unusable by a host whose setpriv cannot become another user", async () => {
    await using at = await scene(0o666);
    const host = await withOnly(at.folder, ["id"]);
    // as BusyBox's does it
    const busybox = '#!/bin/sh\necho "setpriv: unrecognized option: reuid=65534" >&2; exit 1\n';
    await writeFile(path.join(at.folder, "setpriv"), busybox, { mode: 0o755 });
    await assert.rejects(
      mayUse(host, at.file, nobody),
      /Unable to tell whether .* on here: the check ended with status 4 .*unrecognized option/,
    );
  });
});

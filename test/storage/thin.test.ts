/** The destination's storage is thin and full, and what is lost by that is a header, which qemu-img writes through the page cache and does not miss. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { copyLayer } from "../../provider/storage/directory/copy.js";
import { ownHost } from "../host/own-host.js";
import { undoLater, withWorkers } from "../host/worker/harness.js";
import { copyOptions } from "../image/files.js";
import { mountSmall } from "../sandbox/file-systems.js";
import { makeFolder } from "../sandbox/folders.js";

/**
 * The real one. Before its first rebase the storage has a snapshot of the header's blocks, as a thin volume may: to write them again needs room,
 * of which there is none. All others are written in place. It notes how it ended.
 */
const qemuImg = (pool: string, layers: string, noted: string) => `#!/bin/sh
set -e
case "$1" in rebase)
  [ -e "${noted}" ] || {
    sync -f "${layers}"
    first=$(filefrag -e -b4096 "${layers}"/*.lm-partial-* | sed -n 's/^ *0: *[0-9. ]*: *\\([0-9]*\\)\\.\\..*/\\1/p')
    xfs_io -f -c "reflink ${pool}/thin $((first * 4096)) 0 65536" "${pool}/snapshot" >/dev/null
    for bytes in 1M 4096; do
      dd if=/dev/zero of="${pool}/ballast" bs=$bytes oflag=append conv=notrunc 2>&- || :
      sync -f "${pool}"
    done
  }
esac
status=0
PATH=/usr/bin:/bin qemu-img "$@" || status=$?
echo "$1 $status" >>"${noted}"
exit "$status"
`;

describe("a copied layer on a thin storage that is full", function () {
  withWorkers(this);
  this.timeout(60_000);

  it("whose header is lost after qemu-img has written it is refused in words, is no layer, and is copied when there is room", async function () {
    if (process.getuid?.() !== 0) this.skip(); // to mount
    const folder = await makeFolder("livedisk-thin-");
    undoLater(folder.remove);
    const at = (...names: string[]) => path.join(folder.path, ...names);
    await mountSmall({ defer: (undo) => undoLater(async () => void (await undo())) }, at("pool"), { kind: "xfs", sizeMiB: 300 });
    const [from, to, noted] = [at("top.qcow2"), at("to", "top.qcow2"), at("noted")];
    mkdirSync(at("to"));
    execFileSync("fallocate", ["-l", "32M", at("pool", "thin")]);
    execFileSync("mkfs.ext4", ["-q", "-F", "-b", "4096", "-E", "nodiscard", at("pool", "thin")]);
    execFileSync("mount", ["-o", "loop", at("pool", "thin"), at("to")]);
    undoLater(() => void execFileSync("umount", ["--lazy", at("to")]));
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", at("base.qcow2"), "8M"]);
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", "-b", at("base.qcow2"), "-F", "qcow2", from]);
    execFileSync("qemu-io", ["-c", "write -P 7 0 4M", from], { stdio: "ignore" });
    mkdirSync(at("bin"));
    writeFileSync(at("bin", "qemu-img"), qemuImg(at("pool"), at("to"), noted), { mode: 0o755 });
    const host = ownHost({ path: `${at("bin")}:/usr/local/bin:/usr/bin:/bin:/usr/sbin` });
    const copied = () => copyLayer(host, copyOptions(from, to, { rewriteBacking: { name: at("to", "base.qcow2"), format: "qcow2" } }));
    const hash = () => createHash("sha256").update(readFileSync(from)).digest("hex");
    const [before, { mtimeMs }] = [hash(), statSync(from)];

    const advice = "Make room there, also in what lies below its file system, then run `pulumi up` again.";
    const message = `UserError: Unable to copy ${from} to ${to} on here: No space left on device. ${advice}`;
    await assert.rejects(copied(), (thrown: unknown) => String(thrown) === message || assert.fail(String(thrown)));
    assert.equal(readFileSync(noted, "utf8"), "rebase 0\n", "qemu-img misses it");
    assert(!existsSync(to));
    assert.deepEqual([hash(), statSync(from).mtimeMs], [before, mtimeMs]);
    execFileSync("rm", [at("pool", "ballast"), at("pool", "snapshot")]);
    assert.equal(await copied(), "copied");
  });
});

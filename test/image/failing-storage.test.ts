import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isKind } from "../../provider/core/errors.js";
import type { Host } from "../../provider/host/host.js";
import { quote } from "../../provider/host/quoting.js";
import { copyLayer } from "../../provider/storage/directory/copy.js";
import { mountSmall } from "../sandbox/file-systems.js";
import { assertSameBytes, copyOptions, MIB, namesIn, scratch, sparseFile, undoAll, undoLater } from "./files.js";
import { host, overSsh } from "./ssh-host.js";

describe("a copy whose storage loses what it was given", () => {
  overSsh();
  afterEach(undoAll);

  it("is made again from the last sync that worked: the kernel tells of lost pages only once", async function () {
    this.timeout(180_000);
    const { source, destination, root } = await scratch(this);
    const [from, to, flag] = [join(source, "a"), join(destination, "a"), join(root, "fail")];
    await sparseFile(from, 96 * MIB, [{ at: 0, bytes: 96 * MIB }]);
    const losing = withSync(
      join(root, "bin"),
      `case $1 in *.lm-partial-*) if [ -e ${flag} ]; then
        rm ${flag}
        size=$(stat -c %s "$1"); truncate -s 0 "$1"; truncate -s "$size" "$1" # the pages were clean, and are gone
        echo "sync: error syncing '$1': Input/output error" >&2; exit 1
      fi ;; esac`,
    );
    writeFileSync(flag, "");
    const options = copyOptions(from, to, { maxBytesPerSecond: () => 16 * MIB });
    await assert.rejects(
      copyLayer(losing, options),
      (thrown: Error) => isKind(thrown, "user") && /Input\/output error/.test(thrown.message),
    );
    assert(!existsSync(flag) && !existsSync(to));
    assert.equal(await copyLayer(losing, copyOptions(from, to)), "copied");
    assertSameBytes(from, to);
    assert.deepEqual(namesIn(destination), ["a", "a.lm-layer"]);
  });

  it("is not given its name if its partial is another file by then", async function () {
    const { source, destination } = await scratch(this);
    const [from, to] = [join(source, "a"), join(destination, "a")];
    await sparseFile(from, 8 * MIB, [{ at: 0, bytes: 8 * MIB }]);
    const replaced = copyLayer(
      host,
      copyOptions(from, to, {
        progress: (done, total) => {
          const partial = namesIn(destination).find((name) => name.includes(".lm-partial-"));
          if (done === total && partial) execFileSync("sh", ["-c", 'cp "$1" "$1.x" && mv "$1.x" "$1"', "sh", join(destination, partial)]);
        },
      }),
    );
    await assert.rejects(
      replaced,
      (thrown: Error) => isKind(thrown, "user") && /its partial was taken away or replaced/.test(thrown.message),
    );
    assert(!existsSync(to));
    assert.equal(await copyLayer(host, copyOptions(from, to)), "copied");
    assertSameBytes(from, to);
  });
});

describe("a layer on a storage that turned read-only", () => {
  overSsh();
  afterEach(undoAll);

  it("is refused at once, by the reason, and waits for no holder of its lock", async function () {
    if (process.getuid?.() !== 0) this.skip(); // only root can mount
    const { source, root } = await scratch(this);
    const storage = await mountSmall({ defer: (undo) => undoLater(this, async () => void (await undo())) }, join(root, "small"), {
      ...{ kind: "ext4", sizeMiB: 64 },
    });
    const [from, to] = [join(source, "a"), join(storage.place, "a")];
    await sparseFile(from, 8 * MIB, [{ at: 0, bytes: 8 * MIB }]);
    assert.equal(await copyLayer(host, copyOptions(from, to)), "copied");
    await storage.turnReadOnly();
    await assert.rejects(
      copyLayer(host, copyOptions(from, to)),
      (thrown: Error) => isKind(thrown, "user") && /it cannot be opened \(Read-only file system\); mend that/.test(thrown.message),
    );
  });
});

/** The host with another `sync` before its own. */
function withSync(bin: string, script: string): Host {
  mkdirSync(bin);
  writeFileSync(join(bin, "sync"), `#!/bin/sh\n${script}\nexec /bin/sync "$@"\n`, { mode: 0o755 });
  return { ...host, name: host.name, open: (text, args) => host.open(`PATH=${quote(bin)}:$PATH\n${text}`, args) };
}

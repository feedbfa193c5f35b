import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { until } from "./command.js";
import { chooseReleases, chosenRelease, chosenReleases } from "./qemu.js";
import { archiveIn, underLock } from "./trixie.js";

describe("the archive that a trixie is made from", () => {
  it("is that of the release itself, not of its updates, security or backports", () => {
    const lines = ["bookworm-security http://a/security/", "bookworm-updates http://a/debian/", "bookworm http://b/debian/"];
    assert.equal(archiveIn(`${lines.join("\n")}\n`), "http://b/debian/");
  });

  it("is none where apt has none", () => {
    assert.equal(archiveIn("bookworm-security http://a/security/\n"), undefined);
  });
});

describe("a folder that is made once", () => {
  let home: string;
  let folder: string;
  beforeEach(async () => {
    home = await mkdtemp(path.join(os.tmpdir(), "livedisk-trixie-"));
    folder = path.join(home, "made");
  });
  afterEach(() => rm(home, { recursive: true, force: true }));
  const make = (script: string, ...args: string[]) => underLock(path.join(home, "log"), folder, script, args);
  const made = async () => (await readdir(home)).filter((name) => !["log", "made.lock"].includes(name));
  const slowly = `mkdir "$new"; echo "$@" >>"$new/who"; sleep 1; mv -T "$new" "\${new%.partial}"`;

  it("is made by one of two that come at once, and the other one waits for it", async () => {
    await Promise.all([make(slowly, "one"), make(slowly, "two")]);
    assert.match(await readFile(path.join(folder, "who"), "utf8"), /^(one|two)\n$/);
    assert.deepEqual(await made(), ["made"]);
  });

  it("is not there when its making fails, and the next one begins anew", async () => {
    await assert.rejects(make(`mkdir "$new"; touch "$new/half"; false`), /ended with 1/);
    assert(!existsSync(folder));
    await make(slowly, "next");
    assert.deepEqual(await readdir(folder), ["who"]);
  });

  it("is not there when its making is killed, whose processes and mounts end with it", async () => {
    const script = `mkdir -p "$new/mounted"; mount -t tmpfs t "$new/mounted"; touch "$new/mounted/half"; sleep 1000`;
    const program = `require(${JSON.stringify(path.join(__dirname, "trixie.js"))}).underLock(...${JSON.stringify([path.join(home, "log"), folder, script, []])})`;
    const maker = spawn(process.execPath, ["-e", program], { stdio: "ignore" });
    await until(
      60,
      () => existsSync(`${folder}.partial/mounted`) || undefined,
      () => "Nothing was begun.",
    );
    maker.kill("SIGTERM");
    await make(slowly, "next");
    assert.deepEqual(await made(), ["made"]);
    assert(!(await readFile("/proc/self/mounts", "utf8")).includes(home));
  });
});

describe("the QEMU that guests of the tests run on", () => {
  const before = process.env.LIVEDISK_TEST_QEMU;
  afterEach(() => {
    if (before === undefined) delete process.env.LIVEDISK_TEST_QEMU;
    else process.env.LIVEDISK_TEST_QEMU = before;
  });

  it("is the one that was chosen; of two, only those who ask for all hear", () => {
    chooseReleases("trixie");
    assert.equal(chosenRelease(), "trixie");
    chooseReleases("host,trixie");
    assert.deepEqual(chosenReleases(), ["host", "trixie"]);
    assert.throws(chosenRelease, /Two QEMUs were chosen, but these tests run on one/);
  });

  it("is refused in words where there is no such one", () => {
    for (const text of ["buster", "", "host,host", "trixie,"]) assert.throws(() => chooseReleases(text), /names no QEMU of the tests/);
  });
});

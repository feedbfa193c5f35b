/** A private key with a pass phrase, in a real move: neither is in the state, on the host, in what is shown, in an error, or among processes. */

import assert from "node:assert/strict";
import { copyFile, mkdir, readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { openEngine } from "../../engine/engine.js";
import { run } from "../../sandbox/command.js";
import { onStage } from "../../storage-migration/stage.js";

const project = path.resolve(__dirname, "../../../../test/e2e/program");

describe("a key and its pass phrase", function () {
  this.timeout(240_000);
  const stage = onStage();
  let key = "";
  let needles: string[] = [];
  const shown: string[] = [];

  before(async () => {
    const { sshd, folder } = stage().sandbox;
    key = await readFile(sshd.encryptedIdentityFile, "utf8");
    // outside of what is searched: the same key as it is when it was opened
    const opened = path.join(sshd.folder, "opened");
    await copyFile(sshd.encryptedIdentityFile, opened);
    await run("ssh-keygen", ["-q", "-p", "-P", sshd.passphrase, "-N", "", "-f", opened]);
    const lines = `${key}\n${await readFile(opened, "utf8")}`.split("\n").filter((line) => line.length > 30 && !line.startsWith("-----"));
    // without the parts that a public key has too
    needles = [sshd.passphrase, ...lines.slice(1)].filter((line) => !line.startsWith("b3BlbnNzaC1rZXktdjE"));
    assert(needles.length > 4 && folder.length > 0);
    await mkdir(stage().at("stack"));
  });

  const engine = (destination: string, secrets: Record<string, string>) => {
    const { identityFile: _, ...host } = stage().sandbox.host;
    const args = { ...stage().arguments, host, destination: stage().at(destination), maxBytesPerSecond: 40_000_000 };
    return openEngine({
      project,
      workFolder: stage().at("stack"),
      config: { "livedisk-e2e:kind": "StorageMigration", "livedisk-e2e:arguments": JSON.stringify(args) },
      secrets,
    });
  };
  const both = () => ({ "livedisk:privateKey": key, "livedisk:passphrase": stage().sandbox.sshd.passphrase });

  it("are nowhere to be seen while they sign a move in, nor afterwards", async () => {
    const up = await (await engine("path1", both())).up({ onProgress: (line) => shown.push(line) });
    assert(up.ok, up.output);
    let over = false;
    const moving = (await engine("path2", both())).up({ onProgress: (line) => shown.push(line) }).finally(() => (over = true));
    let looks = 0;
    for (; !over; looks++) {
      assertClean("the process list", await processList());
      assertClean("files on the host", await filesOf(stage().folder, "stack"));
      await new Promise((wake) => setTimeout(wake, 50));
    }
    const moved = await moving;
    assert(moved.ok && looks > 5, moved.output);
    assert(
      shown.some((line) => line.includes("copying")),
      "the move was shown",
    );
    assertClean("what was shown", shown.join("\n"));
    assertClean("what was shown", moved.output);
    assertClean("the log of sshd", await readFile(stage().sandbox.sshd.logFile, "utf8"));
    assertClean("the state", withoutSecrets(JSON.parse(await readFile(stage().at("stack", "test.json"), "utf8"))));
  });

  for (const [what, secrets] of Object.entries({
    "a wrong pass phrase": () => ({ ...both(), "livedisk:passphrase": "another pass phrase, wrong" }),
    "no pass phrase": () => ({ "livedisk:privateKey": key }),
    "half a key": () => ({ ...both(), "livedisk:privateKey": key.slice(0, key.length / 2) }),
    "a key of other people's": () => ({ ...both(), "livedisk:privateKey": key.replace(/[A-Z]/g, "Q") }),
  })) {
    it(`are in no error for ${what}`, async () => {
      const refused = await (await engine("path1", secrets())).up({ onProgress: (line) => shown.push(line) });
      assert(!refused.ok, refused.output);
      assert.match(refused.output, /livedisk:(privateKey|passphrase)/);
      assertClean("the error", refused.output);
      assert(!refused.output.includes("another pass phrase, wrong"));
      assert(!refused.output.includes(key.replace(/[A-Z]/g, "Q").split("\n")[2] ?? "none"));
      await stage().guest.waitForRecords(2);
    });
  }

  function assertClean(where: string, text: string): void {
    for (const needle of needles) assert(!text.includes(needle), `${where} holds ${needle.slice(0, 12)}…`);
  }
});

/** What `ps` shows to everybody. */
async function processList(): Promise<string> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  return (await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "")))).join("\n");
}

/** Small files of a folder: manifests, locks, sidecars, logs. */
async function filesOf(folder: string, but: string): Promise<string> {
  const names = (await readdir(folder, { recursive: true })).filter(
    (name) => /lm-|\.log$/.test(name) && !name.startsWith(but) && !name.includes("partial") && !/lm-\w+-\d+T|\.new$/.test(name),
  );
  return (await Promise.all(names.map((name) => readFile(path.join(folder, name), "latin1").catch(() => "")))).join("\n");
}

/** The state as text, without what the engine itself encrypts. */
function withoutSecrets(state: unknown): string {
  const isMarked = (value: unknown) => typeof value === "object" && value !== null && "4dabf18193072939515e22adb298388d" in value;
  return JSON.stringify(state, (_key, value) => (isMarked(value) ? "a secret" : value));
}

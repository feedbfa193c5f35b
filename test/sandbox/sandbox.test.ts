import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { run, until } from "./command.js";
import { stillRunning } from "./processes.js";
import { createSandbox } from "./sandbox.js";

describe("a sandbox", function () {
  this.timeout(180_000);

  it("holds an sshd and a guest, and leaves nothing when it is disposed of", async () => {
    const sandbox = await createSandbox("with a space");
    const guest = await sandbox.startGuest({ name: "web" });
    const { folder, sshd } = sandbox;
    const pids = [sshd.pid, guest.pid];
    assert.match(folder, / /);
    const ssh = [
      "-i",
      sshd.identityFile,
      "-o",
      `UserKnownHostsFile=${sshd.knownHostsFile}`,
      "-o",
      "BatchMode=yes",
      "-p",
      String(sshd.port),
    ];
    const answer = await run("ssh", ["-F", "none", ...ssh, `${sshd.user}@127.0.0.1`, "echo here"]);
    assert.equal(answer.trim(), "here");
    await sandbox.dispose();
    assert.equal(existsSync(folder), false);
    assert.equal(existsSync(sshd.folder), false);
    for (const pid of pids) assert.equal(existsSync(`/proc/${pid}`), false);
    assert.deepEqual(
      stillRunning().filter(({ pid }) => pids.includes(pid)),
      [],
    );
  });

  it("names what a move has left behind, and nothing else", async () => {
    await using sandbox = await createSandbox("leftovers");
    const guest = await sandbox.startGuest();
    await until(
      60,
      async () => ((await sandbox.leftovers()).length === 0 ? true : undefined),
      () => "There are leftovers of nothing.",
    );
    const stray = path.join(await sandbox.storage("guest/path2"), "lm-12345678.lock");
    await writeFile(stray, "");
    const tail = spawn("tail", ["-f", stray], { stdio: "ignore" });
    assert.deepEqual(await sandbox.leftovers(), [`file ${stray}`, `process ${tail.pid}: tail -f ${stray}`]);
    tail.kill();
    await once(tail, "exit");
    await guest.kill();
    const images = ["common.qcow2", "old.qcow2"].map((name) => `file ${path.join(sandbox.folder, "guest/path1", name)}`);
    assert.deepEqual(await sandbox.leftovers(), [...images, `file ${stray}`]);
    assert.deepEqual(await sandbox.leftovers([guest.disk().chain[0] ?? ""]), [`file ${stray}`]);
  });

  it("ends its processes and removes its folders when the test run is interrupted", async () => {
    const program = `require(${JSON.stringify(path.join(__dirname, "sandbox.js"))}).createSandbox("doomed").then(async (sandbox) => {
      const guest = await sandbox.startGuest({});
      console.log(JSON.stringify({ pids: [sandbox.sshd.pid, guest.pid], folders: [sandbox.folder, sandbox.sshd.folder] }));
    })`;
    const doomed = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(doomed.stdout, "data")) as [Buffer];
    const { pids, folders } = JSON.parse(String(line)) as { pids: number[]; folders: string[] };
    doomed.kill("SIGINT");
    await once(doomed, "exit");
    const gone = () => (pids.every((pid) => !existsSync(`/proc/${pid}`)) ? true : undefined);
    await until(60, gone, () => `Of the processes ${pids.join(", ")} some still run.`);
    assert.deepEqual(
      folders.filter((folder) => existsSync(folder)),
      [],
    );
  });
});

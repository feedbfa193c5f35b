import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { moveByHand } from "../e2e/by-hand.js";
import { openStage, type Stage } from "../e2e/stage.js";
import { type Checkout, type Ended, Runner } from "./checkout.js";

describe("examples/drift", function () {
  this.timeout(600_000);

  it("tells by one cron line's exit status and text of a disk that was moved by hand, and is silent once it is back", async () => {
    await using stage = await openStage("drift", { kind: "StorageMigration" });
    const { checkout, stack } = await checkOut(stage, "correct");
    await checkout.must("pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", stack);
    assert.deepEqual(await cronLine(checkout, stack), { status: 0, output: "" });

    await moveByHand(stage, "path3");
    const found = await cronLine(checkout, stack);
    assert.notEqual(found.status, 0);
    assert.match(found.output, /destination/);
    for (const place of ["path1", "path3"]) assert(found.output.includes(stage.at(place)), found.output);
    assert.match(found.output, /no changes were expected.* but changes were proposed/);
    await stage.guest.waitForRecords(5);

    await checkout.must("pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", stack);
    assert.deepEqual(await cronLine(checkout, stack), { status: 0, output: "" });
  });

  it("with onDrift report only warns, and leaves the disk where it was moved by hand", async () => {
    await using stage = await openStage("report", { kind: "StorageMigration" });
    const { checkout, stack } = await checkOut(stage, "report");
    const up = () => checkout.must("pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", stack);
    await up();
    await moveByHand(stage, "path3");
    assert.deepEqual(await cronLine(checkout, stack), { status: 0, output: "" });
    assert.match(await up(), /vda of .* is at .*path3\/old\.qcow2, not in .*path1/);
    const drift = await checkout.must("pulumi", "stack", "output", "--stack", stack, "drift");
    assert.equal(drift.trim(), `vda is at ${stage.at("path3", "old.qcow2")}`);
    assert.deepEqual(
      (await stage.guest.openFiles()).filter((file) => file.endsWith("old.qcow2")),
      [stage.at("path3", "old.qcow2")],
    );
  });
});

async function checkOut(stage: Stage, onDrift: string): Promise<{ checkout: Checkout; stack: string }> {
  const runner = await Runner.make(path.join(stage.sandbox.folder, "runner"));
  console.log(`      engine: ${runner.engine}`);
  const checkout = runner.checkOut("drift", "infra");
  const stack = "prod";
  await checkout.must("pulumi", "stack", "select", "--create", "--non-interactive", stack);
  const values = { host: JSON.stringify(stage.sandbox.host), qmp: stage.guest.qmpSocket, destination: stage.at("path1"), onDrift };
  for (const [key, value] of Object.entries(values)) {
    await checkout.must("pulumi", "config", "set", "--non-interactive", "--stack", stack, `livedisk-drift:${key}`, value);
  }
  return { checkout, stack };
}

/** The example's own crontab line as cron runs it: by sh, in the home folder, with the file's variables; those that are this test's are its own. */
async function cronLine(checkout: Checkout, stack: string): Promise<Ended> {
  const lines = (await readFile(path.join(checkout.folder, "crontab"), "utf8")).split("\n");
  const [line, ...more] = lines.filter((one) => /^\S+ \S+ \S+ \S+ \S+ /.test(one) && !one.startsWith("#"));
  assert(line !== undefined && more.length === 0, "the crontab has one line");
  const command = line.split(" ").slice(5).join(" ");
  assert(!command.includes("%"), "a % would end the command");
  return checkout.run("sh", ["-c", `cd /; ${command}`], { PROJECT: checkout.folder, STACK: stack });
}

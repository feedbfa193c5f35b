/** A guest on its way to another QEMU: its images are that one's, or will be. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { until } from "../sandbox/command.js";
import { Operator } from "../sandbox/operator.js";
import { mourn, watchOver } from "../sandbox/processes.js";
import { qemuCommand } from "../sandbox/qemu.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { Stage } from "../storage-migration/stage.js";

/** A QEMU like the stage's, with the same images, that waits for its guest to come in. */
class Receiver implements AsyncDisposable {
  private constructor(
    readonly child: ChildProcess,
    readonly operator: Operator,
    /** For the provider, and for the guest. */
    readonly qmpSocket: string,
    readonly uri: string,
  ) {}

  static async start(stage: Stage): Promise<Receiver> {
    const line = (await readFile(`/proc/${stage.guest.pid}/cmdline`, "utf8")).split("\0").slice(1, -1);
    const moved = (socket: string) => `${socket}.receiver`;
    const sockets = [stage.guest.qmpSocket, stage.guest.operatorSocket];
    const args = line.map((word) => sockets.reduce((text, socket) => text.replace(socket, moved(socket)), word));
    const uri = `unix:${stage.at("migration.sock")}`;
    const [program = "", ...before] = qemuCommand();
    const child = watchOver(spawn(program, [...before, ...args, "-incoming", uri], { stdio: "ignore" }), "a receiving QEMU");
    const operatorSocket = moved(stage.guest.operatorSocket);
    // a socket has its name before anybody listens on it
    const operator = await until(
      60,
      () => Operator.connect(operatorSocket).catch(() => undefined),
      () => "The receiving QEMU does not listen.",
    );
    return new Receiver(child, operator, moved(stage.guest.qmpSocket), uri);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.operator.close();
    await mourn(this.child, "SIGKILL");
  }
}

const runStateOf = async (operator: Operator) => ((await operator.execute("query-status")) as { status: string }).status;

/** Until QEMU is in this state. */
const reaches = (operator: Operator, state: string): Promise<unknown> =>
  until(
    60,
    async () => (await runStateOf(operator)) === state || undefined,
    () => `The guest did not become ${state}.`,
  );

describe("a guest that is migrated live", function () {
  this.timeout(180_000);

  it("is not moved by the QEMU that it has left, and is moved by the one that it has come to", async () => {
    await using stage = await Stage.open();
    await using receiver = await Receiver.start(stage);
    await stage.operator.execute("migrate", { uri: receiver.uri });
    await reaches(stage.operator, "postmigrate");
    await reaches(receiver.operator, "running");
    const message = await stage.refuses({});
    assert.match(message, /former source of a migration, and the guest runs elsewhere.*Nothing was touched\. Correct `host` and `domain`/);
    await stage.operator.close();
    await stage.guest.stop();
    const { vda } = await stage.moves({ domain: { qmp: receiver.qmpSocket } });
    assert.equal(vda?.phase, "settled");
    await receiver.operator.close();
    await mourn(receiver.child, "SIGTERM");
    await stage.holdsAll(stage.at("path2", "old.qcow2"));
  });

  it("is not moved by the QEMU that it has not come to yet", async () => {
    await using stage = await Stage.open();
    await using receiver = await Receiver.start(stage);
    const message = await stage.refuses({ domain: { qmp: receiver.qmpSocket } });
    assert.match(
      message,
      /waits for a migration to come in \(run state inmigrate\).*Nothing was touched\. Wait until the migration has ended/,
    );
  });

  it("is not switched if the migration begins while the mirror starts, and is moved when that was called off", async () => {
    await using stage = await Stage.open();
    await using proxy = await QmpProxy.listen(stage.at("proxy.sock"), stage.guest.qmpSocket);
    const domain = { qmp: proxy.path };
    proxy.before("blockdev-mirror", async () => {
      await stage.operator.execute("migrate-set-parameters", { "max-bandwidth": 100_000 });
      await stage.operator.execute("migrate", { uri: "exec:cat >/dev/null" });
      return "forward" as const;
    });
    await assert.rejects(
      stage.moves({ domain }),
      /the guest is being migrated \(status \w+\).*is current.*Wait until the migration has ended/,
    );
    await stage.guest.waitForRecords(5);
    assert.equal(await stage.operator.activeImage("vda"), stage.at("path1", "old.qcow2"));
    await stage.operator.execute("migrate_cancel");
    const isOver = async () => ((await stage.operator.execute("query-migrate")) as { status: string }).status === "cancelled" || undefined;
    await until(30, isOver, () => "The migration does not end.");
    assert.equal((await stage.moves({ domain })).vda?.phase, "settled");
    await stage.guest.waitForRecords(10);
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path2", "old.qcow2"));
  });
});

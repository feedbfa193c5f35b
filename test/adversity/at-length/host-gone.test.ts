/** The host goes, or the runner does: a host that reboots, a runner that hangs or whose packets vanish, with its connection half open. */

import assert from "node:assert/strict";
import { readlink, symlink } from "node:fs/promises";
import path from "node:path";
import { isOurs } from "../../../provider/core/errors.js";
import { type Properties, Unfinished } from "../../../provider/core/lifecycle.js";
import { closeAllHosts } from "../../../provider/host/connection.js";
import { until } from "../../sandbox/command.js";
import { longMirror } from "../../sandbox/disks.js";
import { Network } from "../../sandbox/network.js";
import { QmpProxy } from "../../sandbox/qmp-proxy.js";
import { startSshd } from "../../sandbox/sshd.js";
import { Stage, type StageOptions } from "../../storage-migration/stage.js";
import { Runner } from "../runner.js";

const timeoutMs = 240_000;
const slow = { maxBytesPerSecond: 4_000_000 };

/** Where a move is struck: by what it says, or before QEMU sees this command. */
type Place = { says: RegExp } | { before: string };
const copying: Place = { says: /copying ([5-9]|[1-9]\d) %/ };
const mirroring: Place = { says: /mirroring ([5-9]|[1-9]\d) %/ };

async function openStage(options: StageOptions = {}): Promise<{ stage: Stage; proxy: QmpProxy; arguments: Properties }> {
  const disks: StageOptions["disks"] = async (at) => {
    await symlink("path1", at("disks"));
    return [{ storage: at("path1"), through: at("disks"), layers: longMirror }];
  };
  const stage = await Stage.open({ disks, ...options });
  const proxy = await QmpProxy.listen(stage.at("proxy.sock"), stage.guest.qmpSocket);
  stage.sandbox.defer(() => proxy.close());
  return { stage, proxy, arguments: { domain: { qmp: proxy.path }, link: stage.at("disks") } };
}

async function finishes(stage: Stage, args: Properties): Promise<void> {
  assert.equal((await stage.moves(args)).vda?.phase, "settled");
  assert.equal(await readlink(stage.at("disks")), stage.at("path2"));
  await stage.guest.waitForRecords(5);
  await stage.guest.stop();
  await stage.holdsAll(stage.at("path2", "old.qcow2"));
}

describe("a host that reboots", function () {
  this.timeout(timeoutMs);

  for (const [title, place] of Object.entries({
    "during the copy": copying,
    "during the mirror": mirroring,
    "in the switch, before anything is written down": { before: "job-complete" },
    "in the switch, written down but not let go": { before: "job-finalize" },
  } satisfies Record<string, Place>)) {
    it(`${title} is told to the run; the guest boots by its old command line with every write, and the next up goes on`, async () => {
      const { stage, proxy, arguments: args } = await openStage();
      await using _ = stage;
      const message = await rebooted(stage, proxy, { ...stage.arguments, ...args, ...("says" in place ? slow : {}) }, place);
      assert.match(message, /^(Unfinished|UserError|UnreachableError): [^\n]+\.$/);
      if (process.env.SHOW_MESSAGES) console.log(`        > ${message}`);
      await stage.holdsAll(path.join(stage.at("disks"), "old.qcow2"));
      await stage.boot();
      await finishes(stage, args);
    });
  }

  /** All at once: sshd and all that it runs, QEMU. Then sshd is there again. @returns what the run said at its end */
  async function rebooted(stage: Stage, proxy: QmpProxy, args: Properties, place: Place): Promise<string> {
    const { folder, port } = stage.sandbox.sshd;
    let gone: Promise<unknown> | undefined;
    const reboot = () => {
      gone ??= Promise.all([stage.guest.kill(), stage.sandbox.sshd.stop(), stage.operator.close()]);
      return gone;
    };
    if ("before" in place) proxy.before(place.before, () => reboot().then(() => "cut" as const));
    const runner = new Runner(args);
    if ("says" in place) {
      await runner.says(place.says);
      await reboot();
    }
    const ending = await runner.ending;
    assert(ending.failed === "yes", "it was not struck");
    await gone;
    const again = await startSshd({ folder, port });
    stage.sandbox.defer(() => again.stop());
    return ending.message;
  }
});

describe("a runner that vanishes with its connection half open", function () {
  this.timeout(timeoutMs);

  for (const [how, title, place, session] of [
    ["hangs", "during the mirror", mirroring, "ends"],
    ["hangs", "in the switch, before it is written down", { before: "job-complete" }, "ends"],
    ["loses its network", "during the copy", copying, "is ended by hand"],
    ["loses its network", "in the switch, before it is written down", { before: "job-complete" }, "ends"],
    ["loses its network", "in the switch, written down but not let go", { before: "job-finalize" }, "is ended by hand"],
  ] as const satisfies [string, string, Place, string][]) {
    it(`as it ${how} ${title} leaves a guest whose writes go on within 15 s, and another runner goes on`, async () => {
      await using network = await Network.open();
      const { stage, proxy, arguments: args } = await openStage({ sshd: { settings: { ListenAddress: network.here } } });
      await using _ = stage;
      const host = { ...stage.sandbox.host, address: network.here };
      const settings = { ...stage.arguments, host, ...args, ...("says" in place ? slow : {}) };
      const runner = new Runner(settings, network.words);
      const vanish = async () => (how === "hangs" ? runner.hang() : network.cut());
      if ("before" in place) await passing(proxy, place.before, vanish);
      else {
        await runner.says(place.says);
        await vanish();
      }
      assert(!runner.isOver, runner.lines.join("\n"));
      await stage.guest.waitForRecords(5, 15);
      await runner.kill();
      if (session === "is ended by hand") await sessionEndedByHand(stage, args);
      await finishes(stage, args);
    });
  }

  /** Nothing tells sshd that its client is gone: what it runs holds the copy's lock, and perhaps the monitor. Who that is, is said. */
  async function sessionEndedByHand(stage: Stage, args: Properties): Promise<void> {
    const thrown: unknown = await stage.moves({ ...args, stallSeconds: 10 }).catch((reason: unknown) => reason);
    assert(thrown instanceof Unfinished || isOurs(thrown), thrown instanceof Error ? thrown.stack : String(thrown));
    assert.match(
      (thrown as Error).message,
      /process \d+ has its lock, and the copy has not grown for 10 s\. End that process|runner that vanished/,
    );
    await closeAllHosts();
    for (const pid of await stage.sandbox.sshd.sessionPids()) process.kill(pid, "SIGKILL");
  }

  /** Vanishes right before QEMU sees the command, which was sent all the same. */
  async function passing(proxy: QmpProxy, command: string, vanish: () => Promise<unknown>): Promise<void> {
    let struck = false;
    proxy.before(command, async () => {
      await vanish();
      struck = true;
      return "forward" as const;
    });
    await until(
      90,
      () => (struck ? true : undefined),
      () => `${command} never came by.`,
    );
  }
});

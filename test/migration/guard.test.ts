/** The switch's guard by itself: the shell on the host, over a real sshd, with a real QEMU whose two mirrors are ready. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, readlink, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { closeAllHosts, connectHost } from "../../provider/host/connection.js";
import type { Conversation, Host } from "../../provider/host/host.js";
import { socatWord } from "../../provider/host/quoting.js";
import { hostArgs } from "../../provider/host/target.js";
import { openMonitor } from "../../provider/host/worker/monitors.js";
import { guardScript } from "../../provider/hypervisor/qemu/guard-script.js";
import { Workbench } from "../hypervisor/qemu/bare-guest.js";
import { run, until } from "../sandbox/command.js";
import { Operator } from "../sandbox/operator.js";
import { type Sshd, type SshdOptions, startSshd } from "../sandbox/sshd.js";

const disks = ["a", "b"];

/** Two disks with their mirrors ready, and all that a switch of both prepares. */
class Scene implements AsyncDisposable {
  private constructor(
    private readonly bench: Workbench,
    private readonly sshd: Sshd,
    readonly host: Host,
    readonly operator: Operator,
    readonly socket: string,
  ) {}

  static async set({ settings, socket = "qmp.sock" }: { settings?: SshdOptions["settings"]; socket?: string } = {}): Promise<Scene> {
    const bench = await Workbench.create();
    for (const side of ["from", "to", "sshd"]) await mkdir(bench.at(side));
    for (const name of disks.flatMap((disk) => [`from/${disk}.qcow2`, `to/${disk}.qcow2`])) await bench.image(name);
    const blocks = disks.flatMap((disk) => [
      ...["-blockdev", `driver=qcow2,node-name=${disk},file.driver=file,file.filename=from/${disk}.qcow2`],
      ...["-device", `virtio-blk-pci,drive=${disk},id=vd${disk}`],
    ]);
    const monitors = ["-qmp", `unix:${socket.replaceAll(",", ",,")},server=on,wait=off`, "-qmp", "unix:operator.sock,server=on,wait=off"];
    await bench.start([...monitors, ...blocks], { socket: "operator.sock", chardev: "given" });
    const operator = await Operator.connect(bench.at("operator.sock"));
    for (const disk of disks) await mirror(operator, disk, bench.at(`to/${disk}.qcow2`));
    const sshd = await startSshd({ folder: bench.at("sshd"), ...(settings && { settings }) });
    const { port, user, identityFile, hostKeyFingerprint: hostKey } = sshd;
    const host = await connectHost(hostArgs.parse({ address: "127.0.0.1", port, user, identityFile, hostKey }), {});
    const scene = new Scene(bench, sshd, host, operator, bench.at(socket));
    await scene.prepare();
    return scene;
  }

  at(...names: string[]): string {
    return this.bench.at(path.join(...names));
  }

  private async prepare(): Promise<void> {
    await symlink(this.at("from"), this.at("link"));
    await symlink(this.at("to"), this.at("link.next"));
    await symlink(this.at("from"), this.at("link.back"));
    for (const file of disks.flatMap((disk) => [this.at("from", `${disk}.json`), this.at("to", `${disk}.json`)])) {
      await writeFile(file, "before");
      await writeFile(`${file}.back`, "before");
      await writeFile(`${file}.next`, "after ");
    }
  }

  /** The guard, armed: as switch.ts gives it its arguments. */
  async arm(tool = "socat"): Promise<Conversation> {
    const links = ["link", "link.next", "link.back"].map((name) => this.at(name));
    const perDisk = disks.flatMap((disk) => [
      ...[`job-${disk}`, this.at("from", `${disk}.json`), this.at("to", `${disk}.json`)],
      ...[this.at("from", `${disk}.qcow2`), this.at("from", `${disk}.quarantined`), this.at("to", `${disk}.qcow2`)],
    ]);
    const guard = await this.host.open(guardScript, [this.socket, socatWord(path.basename(this.socket)), ...links, ...perDisk]);
    assert.equal(await guard.next(10), `armed ${tool}`);
    return guard;
  }

  async complete(): Promise<void> {
    for (const disk of disks) await this.operator.execute("job-complete", { id: `job-${disk}` });
    for (const disk of disks) await this.operator.waitForJob(`job-${disk}`, "pending");
  }

  /** Where each disk's writes go, as soon as every job has this status. */
  async nodesOnce(status: string, deadlineSeconds: number): Promise<string[]> {
    const reached = async () => {
      const jobs = (await this.operator.execute("query-jobs")) as { status: string }[];
      return jobs.length === 2 && jobs.every((job) => job.status === status) ? jobs : undefined;
    };
    await until(deadlineSeconds, reached, () => `The jobs were not ${status} within ${deadlineSeconds} s.`);
    const drives = (await this.operator.execute("query-block")) as { inserted: { "node-name": string } }[];
    return drives.map(({ inserted }) => inserted["node-name"]);
  }

  async isAsBefore(): Promise<void> {
    assert.equal(await readlink(this.at("link")), this.at("from"));
    for (const disk of disks) {
      assert(existsSync(this.at("from", `${disk}.qcow2`)), `${disk} has its name`);
      for (const side of ["from", "to"]) assert.equal(await readFile(this.at(side, `${disk}.json`), "utf8"), "before");
    }
  }

  async isSwitched(): Promise<void> {
    assert.equal(await readlink(this.at("link")), this.at("to"));
    for (const disk of disks) {
      assert(
        !existsSync(this.at("from", `${disk}.qcow2`)) && existsSync(this.at("from", `${disk}.quarantined`)),
        `${disk} is in quarantine`,
      );
      const size = /^after "sizeBytes": (\d+),\n {4}"modified": "\d+\.\d{9}"\n {2}\}\n\}\n$/;
      for (const side of ["from", "to"]) assert.match(await readFile(this.at(side, `${disk}.json`), "utf8"), size);
    }
  }

  /** Naps of watchdogs that this sshd's sessions began. */
  async sleepers(): Promise<number> {
    const script = `for one in /proc/[0-9]*; do
  [ "$(cat "$one/comm" 2>/dev/null)" = sleep ] && tr '\\0' '\\n' <"$one/environ" | grep "^SSH_CONNECTION=.* $1$"
done; :`;
    const { stdout } = await this.host.run(script, [String(this.sshd.port)]);
    return stdout.split("\n").length - 1;
  }

  async sshdSessions(): Promise<number> {
    return (await this.sshd.sessionPids()).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await closeAllHosts();
    await this.operator.close();
    await this.sshd.stop();
    await this.bench[Symbol.asyncDispose]();
  }
}

async function mirror(operator: Operator, disk: string, target: string): Promise<void> {
  await operator.execute("blockdev-add", { driver: "qcow2", "node-name": `to-${disk}`, file: { driver: "file", filename: target } });
  const endings = { "auto-finalize": false, "auto-dismiss": false, "filter-node-name": `filter-${disk}` };
  await operator.execute("blockdev-mirror", { "job-id": `job-${disk}`, device: disk, target: `to-${disk}`, sync: "full", ...endings });
  await operator.waitForJob(`job-${disk}`, "ready");
}

const atSource = disks.map((disk) => disk);
const atTarget = disks.map((disk) => `to-${disk}`);

describe("the switch's guard", function () {
  this.timeout(180_000);

  it("does nothing at the end of its input before the switch began", async () => {
    await using scene = await Scene.set();
    const guard = await scene.arm();
    assert.equal((await guard.end()).exitStatus, 0);
    assert.deepEqual(
      await scene.nodesOnce("ready", 1),
      disks.map((disk) => `filter-${disk}`),
    );
    await scene.isAsBefore();
  });

  it("cancels when its input ends in a switch that is not written down", async () => {
    await using scene = await Scene.set();
    const guard = await scene.arm();
    await begin(guard);
    await scene.complete();
    guard.abandon();
    assert.deepEqual(await scene.nodesOnce("concluded", 10), atSource);
    await scene.isAsBefore();
  });

  it("lets the guest go on at the destination when its input ends in a switch that is written down", async () => {
    await using scene = await Scene.set();
    await writesDown(scene);
  });

  const spoiled: [string, (scene: Scene) => Promise<unknown>, RegExp][] = [
    [
      "a manifest of the second disk cannot be written",
      (scene) => run("rm", [scene.at("to", "b.json.next")]).then(() => mkdir(scene.at("to", "b.json.next"))),
      /^failed .*b\.json\.next/,
    ],
    ["a quarantine name is taken", (scene) => writeFile(scene.at("from", "b.quarantined"), "somebody's"), /^failed/],
    ["a target is gone", (scene) => run("rm", [scene.at("to", "b.qcow2")]), /^failed .*b\.qcow2/],
  ];
  for (const [what, spoil, answer] of spoiled) {
    it(`sets everything back when ${what}`, async () => {
      await using scene = await Scene.set();
      await setsBack(scene, spoil, answer);
    });

    it(`sets everything back when ${what}, where there is no perl`, async () => {
      await using bin = await programsWithout("perl");
      await using scene = await Scene.set({ settings: { SetEnv: `PATH=${bin.folder}` } });
      await setsBack(scene, spoil, answer);
    });
  }

  for (const [what, words, nodes] of [
    ["cancels", [["begin", "begun"]], atSource],
    ["finishes", Object.entries({ begin: "begun", record: "recorded" }), atTarget],
  ] as const) {
    it(`ends a silent client's sshd after 5 s, and then ${what} the switch alone, on the monitor that came free`, async () => {
      await using scene = await Scene.set();
      await openMonitor(await scene.host.worker(), { path: scene.socket }, { event: () => {}, closed: () => {} });
      const guard = await scene.arm();
      await scene.complete();
      for (const [word, answer] of words) {
        guard.send(word);
        assert.equal(await guard.next(5), answer);
      }
      const began = performance.now();
      const lost = assert.rejects(guard.next(20), /ended|broke/);
      assert.deepEqual(await scene.nodesOnce("concluded", 15), nodes);
      assert(performance.now() - began > 4000, "not before");
      await lost;
      assert.equal(await scene.sshdSessions(), 0);
    });
  }

  it("ends nobody's sshd once the client has spoken, however fast", async () => {
    await using scene = await Scene.set();
    const guard = await scene.arm();
    await begin(guard);
    for (let count = 0; count < 50; count++) guard.send("still");
    guard.send("end");
    assert.equal((await guard.end()).exitStatus, 0);
    await until(
      3,
      async () => ((await scene.sleepers()) === 0 ? true : undefined),
      () => "a watchdog is left",
    );
    assert.deepEqual(
      await scene.nodesOnce("ready", 1),
      disks.map((disk) => `filter-${disk}`),
    );
  });

  it("speaks by nc where there is no socat", async function () {
    await using bin = await programsWithout("socat");
    if (!existsSync(bin.at("nc"))) this.skip();
    await using scene = await Scene.set({ settings: { SetEnv: `PATH=${bin.folder}` } });
    const guard = await scene.arm("nc");
    await begin(guard);
    await scene.complete();
    guard.abandon();
    assert.deepEqual(await scene.nodesOnce("concluded", 20), atSource);
  });

  for (const [what, text] of [
    ["there is no perl", undefined],
    ["perl lacks what it needs", "#!/bin/sh\nexit 2\n"],
  ] as const) {
    it(`writes the switch down by mv and sync where ${what}`, async () => {
      await using bin = await programsWithout("perl");
      if (text !== undefined) await writeFile(bin.at("perl"), text, { mode: 0o755 });
      await using scene = await Scene.set({ settings: { SetEnv: `PATH=${bin.folder}` } });
      await writesDown(scene);
    });
  }

  it("sets everything back when perl ends in the switch", async () => {
    await using bin = await programsWithout("perl");
    const [perl] = ["/usr/bin/perl", "/bin/perl"].filter((file) => existsSync(file));
    // until it has renamed the manifests and the link
    const once = `#!/bin/sh\nexec ${perl} "$1" "$(printf '%s' "$2" | sed 's/^  print .*/& exit if ++$main::answers == 2;/')"\n`;
    await writeFile(bin.at("perl"), once, { mode: 0o755 });
    await using scene = await Scene.set({ settings: { SetEnv: `PATH=${bin.folder}` } });
    const guard = await scene.arm();
    await begin(guard);
    await scene.complete();
    guard.send("record");
    assert.match(await guard.next(5), /^failed perl ended/);
    await scene.isAsBefore();
    guard.abandon();
    assert.deepEqual(await scene.nodesOnce("concluded", 10), atSource);
  });

  for (const socket of ["my qmp, of: web.sock", `it's "a" $(touch x)!.sock`, "-l.sock"]) {
    it(`finds the monitor ${socket}`, async () => {
      await using scene = await Scene.set({ socket });
      const guard = await scene.arm();
      await begin(guard);
      await scene.complete();
      guard.send("record");
      assert.equal(await guard.next(5), "recorded");
      guard.abandon();
      assert.deepEqual(await scene.nodesOnce("concluded", 20), atTarget);
    });
  }
});

/** All of this machine's programs but this one, as a PATH of one folder. */
async function programsWithout(name: string): Promise<Workbench> {
  const bin = await Workbench.create();
  for (const folder of ["/usr/sbin", "/usr/bin", "/bin", "/sbin"]) {
    for (const each of await readdir(folder)) {
      if (!each.startsWith(name) && !existsSync(bin.at(each))) await symlink(path.join(folder, each), bin.at(each));
    }
  }
  return bin;
}

/** A whole switch, whose end is left to the guard. */
async function writesDown(scene: Scene): Promise<void> {
  const guard = await scene.arm();
  await begin(guard);
  await scene.complete();
  guard.send("record");
  assert.equal(await guard.next(5), "recorded");
  await scene.isSwitched();
  guard.abandon();
  assert.deepEqual(await scene.nodesOnce("concluded", 10), atTarget);
  await scene.isSwitched();
}

async function setsBack(scene: Scene, spoil: (scene: Scene) => Promise<unknown>, answer: RegExp): Promise<void> {
  const guard = await scene.arm();
  await begin(guard);
  await scene.complete();
  await spoil(scene);
  guard.send("record");
  assert.match(await guard.next(5), answer);
  await scene.isAsBefore();
  if (existsSync(scene.at("from", "b.quarantined"))) assert.equal(await readFile(scene.at("from", "b.quarantined"), "utf8"), "somebody's");
  guard.abandon();
  assert.deepEqual(await scene.nodesOnce("concluded", 10), atSource);
}

/** From here on the end of its input ends the switch. */
async function begin(guard: Conversation): Promise<void> {
  guard.send("begin");
  assert.equal(await guard.next(5), "begun");
}

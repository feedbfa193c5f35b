/** The switch's guard as a program of this machine, on real files, with a monitor that only listens. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chmod, copyFile, mkdir, readdir, readFile, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { guardScript } from "../../../provider/hypervisor/qemu/guard-script.js";
import { until } from "../../sandbox/command.js";
import { inMemory, type MadeFolder, makeFolder } from "../../sandbox/folders.js";
import { LocalConversation } from "./local-host.js";
import { ScriptedMonitor } from "./scripted-monitor.js";

const disks = ["a", "b"];

interface Setting {
  /** Programs that stand before the machine's own. */
  programs?: Record<string, string>;
  link?: boolean;
  /** Of these disks an image goes stale. @default both */
  stale?: readonly string[];
  /** Of these the stale image's name gets a stand-in. */
  standIns?: readonly string[];
  socket?: string;
}

/** `perl` that cannot do what it is needed for: then the shell does it. */
const noPerl = { perl: "exit 2" };

/** Notes each rename and each sync, then does it. */
const noted = Object.fromEntries(
  ["mv", "sync"].map((tool) => [tool, `echo "${tool} $*" >>"$LOG"; exec /usr/bin/env -i /bin/${tool} "$@"`]),
);

class Scene implements AsyncDisposable {
  private constructor(
    private readonly made: MadeFolder,
    readonly guard: LocalConversation,
  ) {}

  static async set(setting: Setting = {}): Promise<Scene> {
    const made = await makeFolder("livedisk guard ", inMemory);
    const at = (name: string) => path.join(made.path, name);
    for (const folder of ["from", "to", "bin"]) await mkdir(at(folder));
    for (const [name, text] of Object.entries(setting.programs ?? {}))
      await writeFile(at(`bin/${name}`), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    for (const disk of disks) {
      await writeFile(at(`from/${disk}`), "former");
      await writeFile(at(`to/${disk}`), `target ${disk}`);
      for (const side of ["from", "to"])
        for (const [end, text] of [
          ["", "before"],
          [".back", "before"],
          [".next", "after "],
        ])
          await writeFile(at(`${side}/${disk}.json${end}`), text ?? "");
    }
    for (const disk of setting.standIns ?? []) {
      await writeFile(at(`from/${disk}.away.empty`), "");
      await symlink(`${disk}.away.empty`, at(`from/${disk}.away.link`));
    }
    for (const [name, leadsTo] of [
      ["link", "from"],
      ["link.next", "to"],
      ["link.back", "from"],
    ])
      await symlink(at(leadsTo ?? ""), at(name ?? ""));
    const links = setting.link === false ? ["", "", ""] : ["link", "link.next", "link.back"].map(at);
    const perDisk = disks.flatMap((disk) => [
      ...[`job-${disk}`, at(`from/${disk}.json`), at(`to/${disk}.json`)],
      ...((setting.stale ?? disks).includes(disk) ? [at(`from/${disk}`), at(`from/${disk}.away`)] : ["", ""]),
      at(`to/${disk}`),
    ]);
    const socket = setting.socket ?? at("none.sock");
    const environment = { ...process.env, PATH: `${at("bin")}:${process.env.PATH}`, LOG: at("log") };
    const guard = new LocalConversation(guardScript, [socket, path.basename(socket), ...links, ...perDisk], environment);
    const scene = new Scene(made, guard);
    assert.match(await guard.next(10), /^armed (socat|nc|none)$/);
    return scene;
  }

  at(name: string): string {
    return path.join(this.made.path, name);
  }

  async tell(word: string): Promise<string> {
    this.guard.send(word);
    return this.guard.next(10);
  }

  async manifests(): Promise<string[]> {
    return Promise.all(disks.flatMap((disk) => ["from", "to"].map((side) => readFile(this.at(`${side}/${disk}.json`), "utf8"))));
  }

  async isAsBefore(): Promise<void> {
    assert.deepEqual(await this.manifests(), ["before", "before", "before", "before"]);
    assert.equal(await readlink(this.at("link")), this.at("from"));
    for (const disk of disks) assert.equal(await readFile(this.at(`from/${disk}`), "utf8"), "former");
  }

  async log(): Promise<string[]> {
    return (await readFile(this.at("log"), "utf8").catch(() => ""))
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.replaceAll(`${this.made.path}/`, ""));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // where it still waits, its input ends; it speaks to no monitor then, since its socket is gone
    await this.guard.end();
    await this.made.remove();
  }
}

/** Answers the last disk's command, then hangs up, so that nobody waits for more. */
function monitor(commands: string[], deaf = 0): Promise<ScriptedMonitor> {
  let left = deaf;
  return ScriptedMonitor.start(async ({ execute, arguments: { id } }, socket) => {
    if (left-- > 0) {
      socket.destroy();
      return undefined;
    }
    commands.push(`${execute} ${id}`);
    if (id === `job-${disks.at(-1)}`) setImmediate(() => socket.end());
    return { return: {} };
  });
}

for (const [hands, programs] of [
  ["perl", {}],
  ["mv and sync", noPerl],
] as const) {
  describe(`the switch's guard with ${hands}`, () => {
    it("writes down both manifests of each disk, the link and the quarantine names, with what the targets are", async () => {
      await using scene = await Scene.set({ programs });
      assert.equal(await scene.tell("begin"), "begun");
      assert.equal(await scene.tell("record"), "recorded");
      const seconds = async (name: string) => (await stat(scene.at(name), { bigint: true })).mtimeNs;
      const expected = await Promise.all(
        disks.map(async (disk) => {
          const modified = await seconds(`to/${disk}`);
          const time = `${modified / 1_000_000_000n}.${String(modified % 1_000_000_000n).padStart(9, "0")}`;
          return `after "sizeBytes": 8,\n    "modified": "${time}"\n  }\n}\n`;
        }),
      );
      assert.deepEqual(await scene.manifests(), [expected[0], expected[0], expected[1], expected[1]]);
      assert.equal(await readlink(scene.at("link")), scene.at("to"));
      for (const disk of disks) {
        assert(!existsSync(scene.at(`from/${disk}`)), `${disk} has lost its name`);
        assert.equal(await readFile(scene.at(`from/${disk}.away`), "utf8"), "former");
      }
      scene.guard.send("end");
      assert.equal((await scene.guard.end()).exitStatus, 0);
    });

    it("changes no link where there is none, and keeps the name of an image that does not go stale", async () => {
      await using scene = await Scene.set({ programs, link: false, stale: ["b"] });
      await scene.tell("begin");
      assert.equal(await scene.tell("record"), "recorded");
      assert.equal(await readlink(scene.at("link")), scene.at("from"));
      assert.deepEqual(
        (await readdir(scene.at("from"))).filter((name) => !name.includes("json")),
        ["a", "b.away"],
      );
      scene.guard.send("end");
    });

    it("gives a stale image's name to its stand-in", async () => {
      await using scene = await Scene.set({ programs, standIns: ["a"] });
      await scene.tell("begin");
      assert.equal(await scene.tell("record"), "recorded");
      assert.equal(await readlink(scene.at("from/a")), "a.away.empty");
      assert(!existsSync(scene.at("from/a.away.link")) && !existsSync(scene.at("from/b")));
      scene.guard.send("end");
    });

    const spoiled: [string, (scene: Scene) => Promise<unknown>, RegExp][] = [
      ["the second disk's target is gone", (scene) => rm(scene.at("to/b")), /^failed .*to\/b/],
      [
        "what a manifest shall say is not there",
        (scene) => rm(scene.at("to/b.json.next")).then(() => mkdir(scene.at("to/b.json.next"))),
        /^failed .*to\/b\.json\.next cannot be written/,
      ],
      ["a manifest cannot be replaced", (scene) => rm(scene.at("to/b.json")).then(() => mkdir(scene.at("to/b.json"))), /^failed .*b\.json/],
      ["the link as it shall be is gone", (scene) => rm(scene.at("link.next")), /^failed .*link/],
      ["a quarantine name is a file", (scene) => writeFile(scene.at("from/b.away"), "somebody's"), /^failed .*b\.away: it is taken/],
      ["a quarantine name is a link to nothing", (scene) => symlink("nowhere", scene.at("from/b.away")), /^failed .*b\.away: it is taken/],
      ["a former image is gone", (scene) => rm(scene.at("from/b")), /^failed .*from\/b/],
    ];
    for (const [what, spoil, answer] of spoiled)
      it(`sets everything back where ${what}`, async () => {
        await using scene = await Scene.set({ programs, standIns: ["a"] });
        await scene.tell("begin");
        await spoil(scene);
        assert.match(await scene.tell("record"), answer);
        if (what === "a manifest cannot be replaced") {
          await rm(scene.at("to/b.json"), { recursive: true });
          await writeFile(scene.at("to/b.json"), "before");
        }
        if (what === "a former image is gone") await writeFile(scene.at("from/b"), "former");
        await scene.isAsBefore();
        for (const name of ["a.away", "a.away.link.moved"]) assert(!existsSync(scene.at(`from/${name}`)), name);
        if (what.endsWith("a file")) assert.equal(await readFile(scene.at("from/b.away"), "utf8"), "somebody's");
        scene.guard.send("end");
      });
  });
}

describe("the switch's guard", () => {
  it("renames the manifests and the link, syncs them and the targets, and only then renames what goes stale, and syncs that", async () => {
    await using scene = await Scene.set({ programs: { ...noPerl, ...noted } });
    await scene.tell("begin");
    await rm(scene.at("log"), { force: true });
    assert.equal(await scene.tell("record"), "recorded");
    const log = await scene.log();
    const replaced = ["from/a.json", "to/a.json", "from/b.json", "to/b.json"].map((name) => `mv -T -- ${name}.next ${name}`);
    assert.deepEqual(log.slice(0, 5).sort(), [...replaced, "mv -T -- link.next link"].sort());
    assert.match(log[5] ?? "", /^sync -- /);
    const synced = (log[5] ?? "").split(" ").slice(2);
    const records = ["a", "b"].flatMap((disk) => [`from/${disk}.json`, `to/${disk}.json`, "from/", "to/", `to/${disk}`]);
    // the last one is the link's directory, whose name ends in a slash
    assert.deepEqual(synced.slice(0, -1), records);
    assert.deepEqual(
      log.slice(6, 8),
      disks.map((disk) => `mv -n -T -- from/${disk} from/${disk}.away`),
    );
    assert.deepEqual(log.slice(8), ["sync -- from/ from/"]);
    scene.guard.send("end");
  });

  it("syncs what it has set back: the names, then the manifests", async () => {
    await using scene = await Scene.set({ programs: { ...noPerl, ...noted } });
    await scene.tell("begin");
    await writeFile(scene.at("from/b.away"), "somebody's");
    await scene.tell("record");
    const log = await scene.log();
    const back = log.slice(log.findIndex((line) => line.includes("link.back")));
    assert.deepEqual(back.slice(0, 5), [
      "mv -T -- link.back link",
      ...["from/a", "to/a", "from/b", "to/b"].map((name) => `mv -T -- ${name}.json.back ${name}.json`),
    ]);
    assert(log.indexOf("mv -n -T -- from/a.away from/a") < log.indexOf("mv -T -- link.back link"), log.join("\n"));
    assert.equal(back[5], "sync -- from/ from/");
    assert.match(back[6] ?? "", /^sync -- from\/a\.json to\/a\.json from\/ to\/ to\/a from\/b\.json/);
    scene.guard.send("end");
  });

  it("says nothing to the monitor at the end of its input, as long as the switch has not begun", async () => {
    const commands: string[] = [];
    await using qmp = await monitor(commands);
    await using scene = await Scene.set({ socket: qmp.socket });
    assert.equal((await scene.guard.end()).exitStatus, 0);
    assert.deepEqual([commands, qmp.clients], [[], 0]);
    await scene.isAsBefore();
  });

  for (const [words, answer] of [
    [["begin"], "job-cancel"],
    [["begin", "record"], "job-finalize"],
    [["record"], "job-finalize"],
  ] as const)
    it(`answers the end of its input after ${words.join(" and ")} with ${answer} for each disk`, async () => {
      const commands: string[] = [];
      await using qmp = await monitor(commands);
      await using scene = await Scene.set({ socket: qmp.socket });
      for (const word of words) await scene.tell(word);
      await scene.guard.end();
      assert.deepEqual(
        commands,
        disks.map((disk) => `${answer} job-${disk}`),
      );
    });

  it("cancels at the end of its input where the switch could not be written down", async () => {
    const commands: string[] = [];
    await using qmp = await monitor(commands);
    await using scene = await Scene.set({ socket: qmp.socket });
    await rm(scene.at("to/b"));
    await scene.tell("record");
    await scene.guard.end();
    assert.deepEqual(
      commands,
      disks.map((disk) => `job-cancel job-${disk}`),
    );
  });

  it("says nothing to the monitor once the client has ended the switch", async () => {
    const commands: string[] = [];
    await using qmp = await monitor(commands);
    await using scene = await Scene.set({ socket: qmp.socket });
    await scene.tell("begin");
    scene.guard.send("end");
    assert.equal((await scene.guard.end()).exitStatus, 0);
    assert.equal(qmp.clients, 0);
  });

  it("speaks again to a monitor that hangs up before it has answered", async () => {
    const commands: string[] = [];
    await using qmp = await ScriptedMonitor.start(async ({ execute, arguments: { id } }, socket) => {
      commands.push(`${execute} ${id}`);
      if (id === "job-b") setImmediate(() => socket.end());
      return { return: {} };
    });
    // it greets nobody who comes first
    await using scene = await Scene.set({
      socket: qmp.socket,
      programs: { socat: 'if [ ! -e "$LOG" ]; then echo once >"$LOG"; exit 1; fi; exec /usr/bin/socat "$@"' },
    });
    await scene.tell("begin");
    await scene.guard.end();
    assert.deepEqual(
      commands,
      disks.map((disk) => `job-cancel job-${disk}`),
    );
  });

  it("bears HUP, INT, TERM and a reader that is gone", async () => {
    await using scene = await Scene.set();
    for (const signal of ["SIGHUP", "SIGINT", "SIGTERM", "SIGPIPE"] as const) process.kill(scene.guard.pid, signal);
    assert.equal(await scene.tell("begin"), "begun");
    assert.equal(await scene.tell("record"), "recorded");
    scene.guard.send("end");
  });

  describe("below an sshd that is silent", () => {
    /** A shell that the kernel calls sshd, and below it the guard; what sleeps for 5 s sleeps for a moment. */
    async function below(words: readonly string[], nap = "exec /bin/sleep 0.05"): Promise<{ killed: boolean; naps: string[] }> {
      const made = await makeFolder("livedisk-guard-", inMemory);
      try {
        const at = (name: string) => path.join(made.path, name);
        await mkdir(at("bin"));
        await copyFile("/bin/sh", at("bin/sshd"));
        await chmod(at("bin/sshd"), 0o755);
        await writeFile(at("bin/sleep"), `#!/bin/sh\necho "$*" >>'${at("naps")}'\n${nap}\n`, { mode: 0o755 });
        await writeFile(at("guard.sh"), guardScript);
        const environment = { ...process.env, PATH: `${at("bin")}:${process.env.PATH}` };
        const outer = `"$1" -c 'sh "$@"; echo over' sshd "$2" none none '' '' ''; echo "status $?"`;
        const talk = new LocalConversation(outer, [at("bin/sshd"), at("guard.sh")], environment);
        assert.match(await talk.next(10), /^armed/);
        for (const word of words) talk.send(word);
        if (words.includes("begin")) assert.equal(await talk.next(10), "begun");
        const naps = async () => (await readFile(at("naps"), "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
        if (words.at(-1) !== "end" && words.length > 0)
          await until(
            5,
            async () => ((await naps()).length > 0 ? true : undefined),
            () => "nobody watches",
          );
        const lines: string[] = [];
        if (words.at(-1) === "end" || words.length === 0 || nap.includes("exit 1")) {
          const { stdout } = await talk.end();
          lines.push(stdout);
        } else lines.push(await talk.next(10));
        await talk.end();
        return { killed: lines.join("\n").includes("status 137"), naps: await naps() };
      } finally {
        await made.remove();
      }
    }

    it("ends that sshd after 5 s, once the switch has begun", async () => {
      assert.deepEqual(await below(["begin"]), { killed: true, naps: ["5"] });
    });

    it("ends nobody before the switch has begun", async () => {
      assert.deepEqual(await below([]), { killed: false, naps: [] });
    });

    it("ends nobody once it has heard that the switch is over", async () => {
      assert.equal((await below(["begin", "still", "end"], "exec /bin/sleep 0.5")).killed, false);
    });

    it("ends nobody where its own sleep fails", async () => {
      assert.equal((await below(["begin"], "exit 1")).killed, false);
    });
  });
});

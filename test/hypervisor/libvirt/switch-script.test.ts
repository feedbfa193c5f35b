/** The switch of a guest that libvirt manages, as a program of this machine, with a virsh that plays one domain. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { endLine, recordedLine, recordLine } from "../../../provider/hypervisor/libvirt/suspension.js";
import { managedSwitchScript } from "../../../provider/hypervisor/libvirt/switch-script.js";
import { command, word } from "../../../provider/hypervisor/libvirt/words.js";
import { until } from "../../sandbox/command.js";
import { inMemory, type MadeFolder, makeFolder } from "../../sandbox/folders.js";
import { LocalConversation } from "../qemu/local-host.js";

/** Each file of the folder `virsh` is a fact; `refuse-…` makes it refuse, `hang-…` wait until that is gone. */
const virsh = `
cd "$FACTS" || exit
while IFS= read -r line; do
  case $line in
    '') continue ;;
    'echo livedisk-over') echo livedisk-over; continue ;;
  esac
  echo "$line" >>log
  verb=\${line%% *}
  case $line in *--set*) verb=record ;; *--remove*) verb=end ;; *--pivot*) verb=pivot ;; *--inactive*) verb=inactive ;; esac
  while [ -e "hang-$verb" ]; do /bin/sleep 0.02; done
  for fact in "refuse-$verb" "refuse-$verb-once"; do
    [ ! -e "$fact" ] || { echo "error: $(cat "$fact")"; case $fact in *-once) rm "$fact" ;; esac; verb=refused; }
  done
  case $verb in
    domstate) cat state ;;
    domjobinfo) cat job ;;
    suspend) echo 'paused (user)' >state ;;
    resume) echo 'running (unpaused)' >state ;;
    record) : >recorded ;;
    end) rm -f recorded ;;
    metadata) [ -e recorded ] || echo 'error: metadata not found: Requested metadata element is not present' ;;
    pivot) for disk in vda vdb; do case $line in *$disk*) cp "target-$disk" "source-$disk" ;; esac; done ;;
    domblklist) for disk in vda vdb; do echo " $disk   $(cat "source-$disk")"; done ;;
    inactive) for disk in vda vdb; do echo " $disk   $(cat "defined-$disk")"; done ;;
    update-device) for disk in vda vdb; do case $line in *define-$disk*) cp "target-$disk" "defined-$disk" ;; esac; done ;;
  esac
done`;

interface Setting {
  disks?: readonly string[];
  facts?: Record<string, string>;
  /** Disks whose image goes stale. @default all */
  stale?: readonly string[];
  /** Disks whose definition is to be changed. @default all */
  defined?: readonly string[];
  programs?: Record<string, string>;
  /** Done before the script begins. */
  spoil?: (at: (name: string) => string) => Promise<unknown>;
}

class Scene implements AsyncDisposable {
  private constructor(
    private readonly made: MadeFolder,
    readonly script: LocalConversation,
    private readonly uuid: string,
  ) {}

  static async set({ disks = ["vda"], facts = {}, stale = disks, defined = disks, programs = {}, spoil }: Setting = {}): Promise<Scene> {
    const made = await makeFolder("livedisk switch ", inMemory);
    const at = (name: string) => path.join(made.path, name);
    for (const folder of ["from", "to", "bin", "virsh"]) await mkdir(at(folder));
    const all = { state: "running (booted)", job: "Job type:         None", ...facts };
    for (const [name, text] of Object.entries(all)) await writeFile(at(`virsh/${name}`), `${text}\n`);
    for (const [name, text] of Object.entries({ virsh, ...programs }))
      await writeFile(at(`bin/${name}`), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    for (const disk of ["vda", "vdb"]) {
      for (const name of ["source", "defined"]) await writeFile(at(`virsh/${name}-${disk}`), `${at(`from/${disk}`)}\n`);
      await writeFile(at(`virsh/target-${disk}`), `${at(`to/${disk}`)}\n`);
      await writeFile(at(`from/${disk}`), "former");
      for (const side of ["from", "to"]) {
        for (const [end, text] of [
          ["", "before"],
          [".back", "before"],
          [".next", "after"],
        ])
          await writeFile(at(`${side}/${disk}.json${end}`), text ?? "");
        await writeFile(at(`${side}/${disk}.json.turn`), "");
      }
    }
    await spoil?.(at);
    const uuid = randomUUID();
    const lock = at("from/vda.json.turn");
    const perDisk = disks.flatMap((disk) => [
      ...[disk, at(`from/${disk}.json`), at(`to/${disk}.json`), at(`from/${disk}`), stale.includes(disk) ? at(`from/${disk}.away`) : ""],
      ...[at(`to/${disk}`), defined.includes(disk) ? command("update-device --config", uuid, at(`define-${disk}`)) : "", word(disk)],
    ]);
    const args = ["test:///default", word(uuid), recordLine(uuid, lock), endLine(uuid), recordedLine(uuid), uuid, ...perDisk];
    const environment = { ...process.env, PATH: `${at("bin")}:${process.env.PATH}`, FACTS: at("virsh") };
    return new Scene(made, new LocalConversation(managedSwitchScript, args, environment), uuid);
  }

  at(name: string): string {
    return path.join(this.made.path, name);
  }

  /** What virsh was told, by its verbs; without what only waits for QEMU. */
  get log(): string[] {
    const lines = readFileSync(this.at("virsh/log"), "utf8").trimEnd().split("\n");
    const named = lines.map((line) =>
      line.includes("--set")
        ? "record"
        : line.includes("--remove")
          ? "end-record"
          : line.includes("--pivot")
            ? `pivot ${line.includes("vdb") ? "vdb" : "vda"}`
            : line.includes("--inactive")
              ? "inactive"
              : (line.split(" ")[0] ?? ""),
    );
    return named.filter((verb) => verb !== "blockjob");
  }

  fact(name: string): string {
    return readFileSync(this.at(`virsh/${name}`), "utf8").trim();
  }

  async go(): Promise<string> {
    assert.equal(await this.script.next(10), "armed");
    this.script.send("go");
    const answer = await this.script.next(15);
    await this.script.end();
    return answer.replaceAll(`${this.made.path}/`, "");
  }

  async manifests(disk = "vda"): Promise<string[]> {
    return Promise.all(["from", "to"].map((side) => readFile(this.at(`${side}/${disk}.json`), "utf8")));
  }

  async isAsBefore(disk = "vda"): Promise<void> {
    assert.deepEqual(await this.manifests(disk), ["before", "before"]);
    assert(existsSync(this.at(`from/${disk}`)) && !existsSync(this.at(`from/${disk}.away`)));
  }

  async isSwitched(disk = "vda"): Promise<void> {
    assert.deepEqual(await this.manifests(disk), ["after", "after"]);
    assert(!existsSync(this.at(`from/${disk}`)) && existsSync(this.at(`from/${disk}.away`)));
    assert.equal(this.fact(`defined-${disk}`), this.at(`to/${disk}`));
  }

  get isRecorded(): boolean {
    return existsSync(this.at("virsh/recorded"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.script.end();
    await rm(`/run/pulumi-livedisk-${this.uuid}.switch`, { force: true });
    await this.made.remove();
  }
}

describe("the switch's script for libvirt", function () {
  this.timeout(30_000);

  it("records, suspends, writes down, pivots, looks, defines, resumes, and ends the record, in this order", async () => {
    await using scene = await Scene.set();
    assert.match(await scene.go(), /^switched \d+ $/);
    const order = [
      "domstate",
      "domstate",
      "record",
      "domstate",
      "suspend",
      "pivot vda",
      "domblklist",
      "inactive",
      "update-device",
      "resume",
      "domstate",
      "end-record",
    ];
    assert.deepEqual(scene.log, order);
    await scene.isSwitched();
    assert.deepEqual([scene.fact("state"), scene.isRecorded], ["running (unpaused)", false]);
  });

  it("has written everything down before the pivot", async () => {
    await using scene = await Scene.set({ facts: { "hang-pivot": "" } });
    assert.equal(await scene.script.next(10), "armed");
    scene.script.send("go");
    await until(
      5,
      () => (existsSync(scene.at("virsh/log")) && scene.log.includes("pivot vda") ? true : undefined),
      () => "it does not pivot",
    );
    assert.deepEqual(await scene.manifests(), ["after", "after"]);
    assert(existsSync(scene.at("from/vda")), "the former image has its name until the guest has left it");
    await rm(scene.at("virsh/hang-pivot"));
    assert.match(await scene.script.next(10), /^switched/);
  });

  it("does nothing unless it is told to go", async () => {
    await using scene = await Scene.set();
    assert.equal(await scene.script.next(10), "armed");
    scene.script.send("stop");
    await scene.script.end();
    assert.deepEqual(scene.log, ["domstate"]);
    await scene.isAsBefore();
  });

  for (const state of [
    "shut off (destroyed)",
    "crashed (panicked)",
    "paused (saving)",
    "paused (shutting down)",
    "pmsuspended",
    "in shutdown",
    "paused (crashed)",
  ])
    it(`refuses a domain that is ${state}, before anything`, async () => {
      await using scene = await Scene.set({ facts: { state } });
      assert.equal(await scene.script.next(10), `failed 0 its domain is ${state}`);
      await scene.script.end();
      await scene.isAsBefore();
    });

  it("refuses a domain that is migrating, and takes one that was restored paused", async () => {
    await using migrating = await Scene.set({ facts: { state: "paused (migrating)", job: "Job type:         Unbounded" } });
    assert.match(await migrating.script.next(10), /^failed 0 its domain is paused \(migrating\)/);
    await using restored = await Scene.set({ facts: { state: "paused (migrating)" } });
    assert.match(await restored.go(), /^switched/);
    assert(!restored.log.includes("resume"));
  });

  it("leaves a guest paused that somebody else has paused", async () => {
    await using scene = await Scene.set({ facts: { state: "paused (user)" } });
    assert.match(await scene.go(), /^switched/);
    assert(!scene.log.some((verb) => ["suspend", "resume", "record"].includes(verb)), scene.log.join());
    assert.equal(scene.fact("state"), "paused (user)");
    await scene.isSwitched();
  });

  it("does nothing to a guest that another switch has suspended", async () => {
    await using scene = await Scene.set({ facts: { state: "paused (user)", recorded: "" } });
    assert.match(await scene.go(), /^failed \d+ {2}a switch that is under way, or was cut, has suspended it/);
    await scene.isAsBefore();
    assert.deepEqual([scene.isRecorded, scene.fact("state")], [true, "paused (user)"]);
  });

  it("takes it for another switch's where libvirt does not say that there is no record", async () => {
    await using scene = await Scene.set({ facts: { state: "paused (user)", "refuse-metadata": "cannot acquire state change lock" } });
    assert.match(await scene.go(), /^failed \d+ .*cannot acquire state change lock/);
    await scene.isAsBefore();
  });

  it("ends its record where the guest cannot be suspended, and changes nothing", async () => {
    await using scene = await Scene.set({ facts: { "refuse-record": "denied" } });
    assert.match(await scene.go(), /^failed \d+ .*denied/);
    await scene.isAsBefore();
    assert.deepEqual([scene.isRecorded, scene.fact("state"), scene.log.includes("suspend")], [false, "running (booted)", false]);
  });

  it("resumes a guest of which it is not known whether a failed suspend has stopped it", async () => {
    await using scene = await Scene.set({ facts: { "refuse-suspend": "timed out" } });
    assert.match(await scene.go(), /^failed \d+ .*timed out/);
    await scene.isAsBefore();
    assert(scene.log.includes("resume"));
    assert.equal(scene.isRecorded, false);
  });

  for (const [what, spoil] of [
    ["the source's", (at: (name: string) => string) => rm(at("from/vda.json.next"))],
    ["the destination's", (at: (name: string) => string) => rm(at("to/vda.json.next"))],
  ] as const)
    it(`pivots nothing where ${what} manifest cannot be written, sets it back, and resumes`, async () => {
      await using scene = await Scene.set({ spoil });
      assert.match(await scene.go(), /^failed \d+ .*it could not be written down/);
      await scene.isAsBefore();
      assert.deepEqual([scene.log.includes("pivot vda"), scene.fact("state")], [false, "running (unpaused)"]);
    });

  it("sets back a disk whose pivot is refused, and resumes", async () => {
    await using scene = await Scene.set({ facts: { "refuse-pivot": "not ready" } });
    assert.match(await scene.go(), /^failed \d+ .*vda: not ready/);
    await scene.isAsBefore();
    assert.deepEqual([scene.fact("state"), scene.isRecorded, scene.log.includes("update-device")], ["running (unpaused)", false, false]);
  });

  it("believes where the disk is, and not what the pivot answers", async () => {
    await using moved = await Scene.set({
      facts: { "refuse-pivot": "timed out" },
      spoil: (at) => writeFile(at("virsh/source-vda"), `${at("to/vda")}\n`),
    });
    assert.match(await moved.go(), /^switched/);
    await moved.isSwitched();
    await using stayed = await Scene.set({ spoil: (at) => writeFile(at("virsh/target-vda"), `${at("from/vda")}\n`) });
    assert.match(await stayed.go(), /^failed/);
    await stayed.isAsBefore();
  });

  it("sets back only the disk that stays, of several", async () => {
    await using scene = await Scene.set({ disks: ["vda", "vdb"], spoil: (at) => writeFile(at("virsh/target-vdb"), `${at("from/vdb")}\n`) });
    assert.match(await scene.go(), /^failed \d+ .*vdb:/);
    await scene.isSwitched("vda");
    await scene.isAsBefore("vdb");
    assert.deepEqual(
      scene.log.filter((verb) => /pivot|resume/.test(verb)),
      ["pivot vda", "pivot vdb", "resume"],
    );
  });

  it("switches several disks while the guest is suspended once", async () => {
    await using scene = await Scene.set({ disks: ["vda", "vdb"] });
    assert.match(await scene.go(), /^switched/);
    for (const disk of ["vda", "vdb"]) await scene.isSwitched(disk);
    assert.deepEqual(
      scene.log.filter((verb) => /pivot|suspend|resume/.test(verb)),
      ["suspend", "pivot vda", "pivot vdb", "resume"],
    );
  });

  it("keeps an image's name that does not go stale, and one whose quarantine name is taken", async () => {
    await using kept = await Scene.set({ stale: [] });
    assert.match(await kept.go(), /^switched/);
    assert(existsSync(kept.at("from/vda")));
    await using taken = await Scene.set({ spoil: (at) => writeFile(at("from/vda.away"), "somebody's") });
    await taken.go();
    assert.equal(await readFile(taken.at("from/vda.away"), "utf8"), "somebody's");
    assert(existsSync(taken.at("from/vda")));
  });

  it("changes no definition that is right, or that there is none of", async () => {
    await using right = await Scene.set({ spoil: (at) => writeFile(at("virsh/defined-vda"), `${at("to/vda")}\n`) });
    await right.go();
    assert(!right.log.includes("update-device"));
    await using none = await Scene.set({ defined: [] });
    await none.go();
    assert(!none.log.includes("inactive"));
  });

  it("tells of a definition that cannot be changed, once the guest runs on", async () => {
    await using scene = await Scene.set({ facts: { "refuse-update-device": "read-only" } });
    assert.match(await scene.go(), /^failed \d+ .*the persistent definition of vda: read-only/);
    assert.deepEqual(await scene.manifests(), ["after", "after"]);
    assert.equal(scene.fact("state"), "running (unpaused)");
  });

  /** It tries again soon, and its watchdog bites as late as ever. */
  const impatient = { sleep: "case $1 in 10) exec /bin/sleep 10 ;; *) exec /bin/sleep 0.05 ;; esac" };

  it("resumes again until libvirt says that the guest runs", async () => {
    await using scene = await Scene.set({ facts: { "refuse-resume-once": "busy" }, programs: impatient });
    assert.match(await scene.go(), /^switched/);
    assert.equal(scene.log.filter((verb) => verb === "resume").length, 2);
  });

  it("ends the record only after the guest runs, and tries again", async () => {
    await using scene = await Scene.set({ facts: { "refuse-end-once": "busy" }, programs: impatient });
    assert.match(await scene.go(), /^switched/);
    assert.equal(scene.isRecorded, false);
  });

  const brief = { flock: 'shift 2; exec /usr/bin/flock -w 0.1 "$@"' };
  it("is refused while another switch holds a manifest's lock, and touches nothing", async () => {
    await using first = await Scene.set({ facts: { "hang-pivot": "" } });
    assert.equal(await first.script.next(10), "armed");
    await using second = await Scene.set({
      programs: brief,
      spoil: async (at) => {
        await rm(at("from/vda.json.turn"));
        await symlink(first.at("from/vda.json.turn"), at("from/vda.json.turn"));
      },
    });
    assert.match(await second.script.next(10), /^failed 0 .*from\/vda\.json\.turn cannot be locked: another switch is under way/);
    await second.isAsBefore();
  });

  it("gives its locks back at its end", async () => {
    await using scene = await Scene.set();
    await scene.go();
    const free = new LocalConversation('flock -n "$1" echo free || echo held', [scene.at("from/vda.json.turn")]);
    assert.equal(await free.next(5), "free");
  });

  /** What waits for 10 s waits for a moment. */
  const hurried = { sleep: "case $1 in 10) exec /bin/sleep 0.3 ;; *) exec /bin/sleep 0.05 ;; esac" };
  const runsAgain = (scene: Scene) =>
    until(
      10,
      () => (scene.fact("state").startsWith("running (unpaused)") ? true : undefined),
      () => "nobody lets the guest go",
    );

  it("lets the guest go after 10 s by its watchdog, though the pivot hangs, and begins no pivot after that", async () => {
    await using scene = await Scene.set({ disks: ["vda", "vdb"], facts: { "hang-pivot": "" }, programs: hurried });
    assert.equal(await scene.script.next(10), "armed");
    scene.script.send("go");
    await runsAgain(scene);
    await rm(scene.at("virsh/hang-pivot"));
    assert.match(await scene.script.next(15), /^failed \d+ .*vdb: it took too long, the guest was let go before/);
    await scene.script.end();
    assert.deepEqual(
      scene.log.filter((verb) => verb.startsWith("pivot")),
      ["pivot vda"],
    );
    await scene.isSwitched("vda");
    await scene.isAsBefore("vdb");
  });

  it("is followed by its watchdog where it is killed: what has moved is defined there, and the guest runs", async () => {
    await using scene = await Scene.set({ facts: { "hang-inactive": "" }, programs: hurried });
    assert.equal(await scene.script.next(10), "armed");
    scene.script.send("go");
    await until(
      5,
      () => (existsSync(scene.at("virsh/log")) && scene.log.includes("inactive") ? true : undefined),
      () => "it does not look",
    );
    process.kill(scene.script.pid, "SIGKILL");
    await rm(scene.at("virsh/hang-inactive"));
    await runsAgain(scene);
    await until(
      5,
      () => (scene.isRecorded ? undefined : true),
      () => "the record stays",
    );
    assert.equal(scene.fact("defined-vda"), scene.at("to/vda"));
    assert.deepEqual(await scene.manifests(), ["after", "after"]);
  });
});

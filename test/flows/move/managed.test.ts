/** The steps of a move of a guest that libvirt manages: what is refused, what is asked of libvirt and in which order, what is written down. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { fileNames, jobNames } from "../../../provider/core/disk/names.js";
import { isKind, UnreachableError, UserError } from "../../../provider/core/errors.js";
import { tellSuspended } from "../../../provider/flows/move/look/suspension.js";
import { settleDefinition } from "../../../provider/flows/move/managed/definition.js";
import { awaitFormerSwitch } from "../../../provider/flows/move/managed/former-switch.js";
import { letGoOrWait, letGoSuspended } from "../../../provider/flows/move/managed/suspended.js";
import { checkBurdens } from "../../../provider/flows/move/steps/burdens.js";
import { collapse, fold, freeze } from "../../../provider/flows/move/steps/freezing.js";
import { startMirror } from "../../../provider/flows/move/steps/mirroring.js";
import { switchTo } from "../../../provider/flows/move/switching.js";
import { foldOf, pivotOf } from "../../../provider/flows/shared/disk-switches.js";
import type { SeenDisk, Site } from "../../../provider/flows/shared/site.js";
import { switchDisks } from "../../../provider/flows/shared/switch.js";
import { directoryUntilBoot } from "../../../provider/host/directory-until-boot.js";
import type { LibvirtSwitchResult } from "../../../provider/host/worker/libvirt-switching.js";
import { acquireLock } from "../../../provider/host/worker/locks.js";
import { type GuestView, suspendedNow } from "../../../provider/hypervisor/hypervisor.js";
import type { PlannedLibvirtSwitch } from "../../../provider/hypervisor/libvirt/switch-plan.js";
import { qemuTraits } from "../../../provider/hypervisor/qemu/guest.js";
import type { Manifest } from "../../../provider/journal/manifest.js";
import { writeRecords } from "../../../provider/journal/records.js";
import { type Answers, emptyView, notingLibvirt } from "./noting-guest.js";
import { key, MoveScene, overlayName } from "./scene.js";

let scene: MoveScene;

const record = fileNames.manifest(key);
const noBurdens = { snapshots: [], checkpoints: [], jobs: [], forbids: [] };
const refused = (pattern: RegExp) => (thrown: unknown) => isKind(thrown, "user") && pattern.test(thrown.message);

interface Scripted {
  site: Site & { destination: string };
  /** What was asked of libvirt, a word each. */
  asked: () => string[];
  /** With its arguments. */
  lines: () => string[];
}

/** What of it changes something, or is libvirt's alone. */
const steps = ["redefine", "freeze", "mirror", "commit", "pull", "switch", "letGo", "cancel"];

function siteOf(answers: Answers = {}, options: Record<string, unknown> = {}): Scripted {
  const noted = notingLibvirt(answers, scene.host);
  const { site } = scene.site({}, options, noted);
  const lines = () => noted.asked.filter((line) => steps.includes(line.split(" ")[0] ?? ""));
  return { site, lines, asked: () => lines().map((line) => line.split(" ")[0] ?? "") };
}

const nothingSeen = { view: emptyView, disks: [] };
const current = async (side = "path1") => JSON.parse(await readFile(scene.at(`${side}/${record}`), "utf8")).current;
const definedAt = (path: string) => ({ image: { ...scene.image(), definedAt: scene.at(path) } });

describe("of a guest that libvirt manages", () => {
  beforeEach(async () => {
    scene = await MoveScene.open();
  });
  afterEach(() => scene[Symbol.asyncDispose]());

  describe("a move is refused", () => {
    const check = (burdens: object, options: Record<string, unknown> = {}, view: Partial<GuestView> = {}) =>
      checkBurdens(
        siteOf({ burdens: () => ({ ...noBurdens, ...burdens }) }, options).site,
        { view: { ...emptyView, ...view }, disks: [] },
        scene.disk(),
      );
    const snapshot = { strategy: "snapshot" };

    it("for nothing where nothing burdens it", () => check({}));
    it("where its domain is shut off", () => assert.rejects(check({}, {}, { status: "shut off" }), refused(/its domain is shut off/)));
    it("for what libvirt forbids", () => assert.rejects(check({ forbids: ["it is transient"] }), refused(/it is transient/)));
    it("for somebody else's job, by its target too", () =>
      assert.rejects(
        check(
          { jobs: ["Block Copy"] },
          {},
          { jobs: [{ id: jobNames.mirror(key), type: "mirror", status: "ready", ioStatus: "ok", target: "/theirs" }] },
        ),
        refused(/somebody else's job runs on it \(Block Copy, a copy onto \/theirs\)/),
      ));
    it("where its definition gives the image to another disk, which would be this one after the next start", async () => {
      const image = { kind: "image" as const, ...scene.image([["path1/other.qcow2", "qcow2"]]), definedAt: scene.at("path1/disk.qcow2") };
      const view = { disks: [{ qdev: "vdb", names: ["vdb"], medium: image }] };
      await assert.rejects(check({}, {}, view), refused(/its persistent definition gives \S*path1\/disk\.qcow2 to vdb/));
    });
    it("for checkpoints unless bitmaps may be lost, and always with a snapshot", async () => {
      await assert.rejects(check({ checkpoints: ["c"] }), refused(/checkpoints \(c\), whose bitmaps a mirror does not carry/));
      await check({ checkpoints: ["c"] }, { loses: ["bitmaps"] });
      const always = check({ checkpoints: ["c"] }, { ...snapshot, loses: ["bitmaps"] });
      await assert.rejects(always, refused(/checkpoints \(c\), which strategy "snapshot" does not carry/));
    });
    it("for snapshots unless they may become useless", async () => {
      await assert.rejects(check({ snapshots: ["s"] }), refused(/its domain has snapshots \(s\), whose definitions name the disk/));
      await check({ snapshots: ["s"] }, { loses: ["snapshot-metadata"] });
    });
  });

  describe("a copy", () => {
    it("is begun onto an empty file of ours that was written down, with the copied chain below, then what stays", async () => {
      const root = { path: scene.at("far/root.raw"), ...(await scene.which("path1/base.raw")), format: "raw" };
      const manifest = await scene.manifest({ chain: [...((await scene.manifest()).chain ?? []), root] });
      let recorded: unknown;
      const mirror = async () => {
        recorded = JSON.parse(await readFile(scene.at(`path2/${record}`), "utf8")).destination.file;
      };
      const image = scene.image([
        ["path1/disk.qcow2", "qcow2"],
        ["path1/base.raw", "raw"],
        ["far/root.raw", "raw"],
      ]);
      const { site, lines } = siteOf({ mirror }, { maxBytesPerSecond: 5 });
      await startMirror(site, nothingSeen, scene.disk({ image }), manifest);
      assert.deepEqual(recorded, await scene.which("path2/disk.qcow2"));
      assert.equal(await readFile(scene.at("path2/disk.qcow2"), "utf8"), "");
      const [of, target, options] = JSON.parse(`[${(lines()[0] ?? "").replace(/^mirror /, "").replaceAll("} {", "},{")}]`);
      assert.deepEqual([of.qdev, options.maxBytesPerSecond], ["vda", 5]);
      assert.deepEqual(target.chain, [
        { path: scene.at("path2/disk.qcow2"), format: "qcow2" },
        { path: scene.at("path2/base.raw"), format: "raw" },
        { path: scene.at("far/root.raw"), format: "raw" },
      ]);
    });

    it("replaces what an ended one left of its own", async () => {
      await scene.write("path2/disk.qcow2", "half of it");
      const manifest = await scene.manifest();
      await startMirror(siteOf().site, nothingSeen, scene.disk(), manifest);
      assert.equal(await readFile(scene.at("path2/disk.qcow2"), "utf8"), "");
    });

    it("is not begun where its domain is shut off, and libvirt's refusal is told", async () => {
      const manifest = await scene.manifest();
      const off = siteOf();
      const seen = { view: { ...emptyView, status: "shut off" }, disks: [] };
      await assert.rejects(startMirror(off.site, seen, scene.disk(), manifest), refused(/its domain is shut off/));
      assert.deepEqual([off.asked(), existsSync(scene.at("path2/disk.qcow2"))], [[], false]);
      const no = siteOf({ mirror: () => Promise.reject(new UserError("no room")) });
      await assert.rejects(
        startMirror(no.site, nothingSeen, scene.disk(), manifest),
        refused(/no room.*The guest runs on .*path1\/disk\.qcow2, which is current/),
      );
    });
  });

  describe("the definition after the last switch", () => {
    const settled = async (disk: SeenDisk, answers: Answers = {}, more: Partial<Manifest> = {}) => {
      const { site, lines } = siteOf(answers);
      await settleDefinition({ site, outcome: scene.outcome }, disk, await scene.manifest(more));
      return lines().filter((line) => line.startsWith("redefine"));
    };

    it("names the live image where it named another, and is left alone where there is none or it does", async () => {
      assert.match(String(await settled(scene.disk(definedAt("path2/disk.qcow2")))), /^redefine "vda" \{"path":".*path1\/disk\.qcow2"/);
      assert.deepEqual(await settled(scene.disk(definedAt("path1/disk.qcow2"))), []);
      assert.deepEqual(await settled(scene.disk()), []);
    });

    it("is libvirt's: that a name is no longer relative is told, as is what stays", async () => {
      const [top, ...below] = scene.image().chain;
      const image = { ...scene.image(), chain: [{ ...top, backingName: "/full/base.raw" }, ...below] as const };
      await settled(scene.disk({ image }), { staying: () => ["/v.fd: stays"] });
      assert.match(String(scene.outcome.tell("vda")?.left), /names \/full\/base\.raw by its full path.*\/v\.fd: stays/);
    });
  });

  describe("a freeze", () => {
    const frozen = async (answers: Answers, more: Partial<SeenDisk> = definedAt("path1/disk.qcow2")) => {
      const manifest = { ...(await scene.frozen("commit")), current: scene.at("path1/disk.qcow2") };
      await scene.take(`path1/${overlayName}`);
      const scripted = siteOf(answers);
      await freeze(scripted.site, nothingSeen, [scene.written(manifest, more)]);
      return scripted;
    };

    it("comes after `current` and the definition name the overlay, which is there", async () => {
      const states: unknown[] = [];
      const state = (what: string) => async () =>
        void states.push([what, (await current()).endsWith(overlayName), existsSync(scene.at(`path1/${overlayName}`))]);
      const { lines } = await frozen({ redefine: state("redefine"), freeze: state("freeze") });
      assert.deepEqual(states, [
        ["redefine", true, true],
        ["freeze", true, true],
      ]);
      assert.match(
        lines().join("\n"),
        new RegExp(`redefine "vda" .*${overlayName}.*\nfreeze \\[\\{"qdev":"vda",.*"path":".*${overlayName}"`),
      );
    });

    it("of a domain that is not defined defines nothing", async () => {
      assert.deepEqual((await frozen({}, {})).asked(), ["freeze"]);
    });

    it("that is refused is taken back: the definition and `current` name what the guest runs on", async () => {
      const medium = { kind: "image", ...scene.image(), definedAt: scene.at(`path1/${overlayName}`) };
      const look = () => ({ ...emptyView, disks: [{ qdev: "vda", names: ["vda"], medium }] });
      const redefined: string[] = [];
      const redefine = (_: string, { path }: { path: string }) => void redefined.push(path);
      const freeze = () => Promise.reject(new UserError("op blocked"));
      await assert.rejects(frozen({ freeze, redefine, look }), refused(/Unable to freeze vda.*op blocked/));
      assert.deepEqual([redefined.at(-1), await current()], [scene.at("path1/disk.qcow2"), scene.at("path1/disk.qcow2")]);
    });

    it("whose answer is lost is not taken back: the guest may run on the overlay", async () => {
      const look = assert.fail;
      await assert.rejects(frozen({ freeze: () => Promise.reject(new UnreachableError("lost")), look }), /lost/);
      assert((await current()).endsWith(overlayName));
    });

    it("that is refused while the guest runs on the overlay all the same keeps `current` there", async () => {
      const medium = { kind: "image", ...scene.image([[`path1/${overlayName}`, "qcow2"]]) };
      const look = () => ({ ...emptyView, disks: [{ qdev: "vda", names: ["vda"], medium }] });
      await assert.rejects(frozen({ freeze: () => Promise.reject(new UserError("late")), look }), refused(/late/));
      assert((await current()).endsWith(overlayName));
    });
  });

  describe("a chain", () => {
    const image = () =>
      scene.image([
        [`path2/${overlayName}`, "qcow2"],
        ["path2/disk.qcow2", "qcow2"],
        ["path2/base.raw", "raw"],
      ]);

    it("is shortened by a commit of the top into the landed image, or by a pull down to what stays below", async () => {
      const { site, lines } = siteOf({}, { maxBytesPerSecond: 3 });
      await collapse(site, nothingSeen, scene.written(await scene.frozen("commit"), { image: image() }));
      await collapse(site, nothingSeen, scene.written(await scene.frozen("pull"), { image: image() }));
      const of = JSON.stringify({ key, qdev: "vda" });
      const top = { node: "vda-old", path: scene.at(`path2/${overlayName}`) };
      const speed = { maxBytesPerSecond: 3 };
      const down = { top, base: { depth: 1, path: scene.at("path2/disk.qcow2") }, ...speed };
      const up = { top, base: { depth: 2, path: scene.at("path2/base.raw") }, ...speed };
      assert.deepEqual(lines(), [`commit ${of} ${JSON.stringify(down)}`, `pull ${of} ${JSON.stringify(up)}`]);
    });

    it("goes back by a commit of the overlay into the former image, once nothing of the destination is left", async () => {
      const manifest = await scene.frozen("commit");
      await scene.write(`path2/${overlayName}`);
      manifest.destination.file = await scene.which(`path2/${overlayName}`);
      let isThere: boolean | undefined;
      const commit = () => {
        isThere = existsSync(scene.at(`path2/${overlayName}`));
      };
      const { site, lines } = siteOf({ commit });
      const onOverlay = scene.image([
        [`path1/${overlayName}`, "qcow2"],
        ["path1/disk.qcow2", "qcow2"],
      ]);
      await fold(site, nothingSeen, scene.written(manifest, { image: onOverlay }));
      const top = { node: "vda-old", path: scene.at(`path1/${overlayName}`) };
      const down = { top, base: { depth: 1, path: scene.at("path1/disk.qcow2") }, maxBytesPerSecond: 0 };
      assert.deepEqual([lines(), isThere], [[`commit ${JSON.stringify({ key, qdev: "vda" })} ${JSON.stringify(down)}`], false]);
    });

    it("that libvirt does not shorten is told in words", async () => {
      const { site } = siteOf({ commit: () => Promise.reject(new UserError("busy")) });
      const disk = scene.written(await scene.frozen("commit"), { image: image() });
      await assert.rejects(collapse(site, nothingSeen, disk), refused(/Unable to shorten the chain of vda.*busy.*no write is lost/));
      await assert.rejects(fold(site, nothingSeen, disk), refused(/Unable to undo the move of vda.*busy/));
    });
  });

  describe("a switch", () => {
    interface Told {
      plan: PlannedLibvirtSwitch;
      lock: { path: string };
      isLocked: boolean;
    }

    async function switched(result: Partial<LibvirtSwitchResult> = {}, more: Partial<SeenDisk> = {}, partOf = pivotOf) {
      await scene.write("path2/disk.qcow2");
      const manifest = partOf === pivotOf ? await scene.manifest() : await scene.frozen("commit");
      const told: Told[] = [];
      const answer = async (plan: PlannedLibvirtSwitch, lock: { path: string }) => {
        told.push({ plan, lock, isLocked: spawnSync("flock", ["-n", lock.path, "true"]).status !== 0 });
        return { end: "switched", why: null, disks: [], pauseSeconds: 0.012, ...result };
      };
      await switchAlone(siteOf({ switch: answer }).site, await partOf(at(), scene.written(manifest, more)));
      const [first] = told;
      assert(first);
      return first;
    }
    const at = () => ({ site: siteOf().site, seen: nothingSeen });
    const switchAlone = (site: Site, part: Awaited<ReturnType<typeof pivotOf>>) =>
      switchDisks({ site, seen: nothingSeen, outcome: scene.outcome }, [part]);
    const refusedWith = (result: Partial<LibvirtSwitchResult>, pattern: RegExp) => assert.rejects(switched(result), refused(pattern));

    it("is prepared on both sides before the guest is suspended, planned with what lies there, and tells how long the pause was", async () => {
      const { plan } = await switched();
      for (const side of ["path1", "path2"]) {
        assert.equal(JSON.parse(await readFile(scene.at(`${side}/${record}.next`), "utf8")).current, scene.at("path2/disk.qcow2"));
        assert.equal(JSON.parse(await readFile(scene.at(`${side}/${record}.back`), "utf8")).current, scene.at("path1/disk.qcow2"));
      }
      assert.equal(scene.outcome.tell("vda")?.pauseMs, 12);
      const [disk] = plan.disks;
      const images = [disk?.chain[0], disk?.destination];
      const names = ["path1/disk.qcow2", "path2/disk.qcow2"];
      for (const [index, name] of names.entries()) {
        const { dev, ino } = await scene.which(name);
        assert.deepEqual(images[index], { path: scene.at(name), format: "qcow2", device: dev, inode: ino });
      }
      const moves = [...(disk?.manifests ?? []), ...(disk?.stale ?? [])].map(({ from, to }) => [
        Object.values(from)[0],
        Object.values(to)[0],
      ]);
      assert.deepEqual(moves, [
        ...["path1", "path2"].map((side) => [scene.at(`${side}/${record}.next`), scene.at(`${side}/${record}`)]),
        [scene.at("path1/disk.qcow2"), scene.quarantine],
      ]);
      assert.deepEqual([plan.domain, disk?.target, disk?.job, disk?.marks], ["domain", "vda", "copy", []]);
      assert.match(
        scene.told.join("\n"),
        /debug: web on here: the switch will look at the guest's state, and suspend it if it runs;.*resume the guest until it runs\./,
      );
    });

    it("holds the lock of its domain, whose file goes with it", async () => {
      const { lock, isLocked } = await switched();
      assert.deepEqual([path.basename(lock.path), isLocked, existsSync(lock.path)], ["pulumi-livedisk-domain.lock", true, false]);
    });

    it("of a commit down to the source is written down before the pivot, since the images would not tell that it was made", async () => {
      await scene.write(`path1/${overlayName}`);
      const image = scene.image([
        [`path1/${overlayName}`, "qcow2"],
        ["path1/disk.qcow2", "qcow2"],
      ]);
      const { plan } = await switched({}, { image }, foldOf);
      const [disk] = plan.disks;
      assert.deepEqual([disk?.job, disk?.stale, disk?.marks.length], ["active-commit", [], 2]);
      const mark = JSON.parse(await readFile(scene.at(`path1/${record}.mark`), "utf8"));
      assert.deepEqual([mark.overlay.committed, path.basename(mark.current)], ["source", overlayName]);
    });

    it("is not begun where the guest is on its way elsewhere", async () => {
      await scene.write("path2/disk.qcow2");
      const disk = scene.written(await scene.manifest({ layers: [] }));
      const { site } = siteOf({ switch: assert.fail, blockers: () => [{ concerns: "guest", why: "it migrates", advice: "Wait." }] });
      const to = { site, seen: { view: emptyView, disks: [disk] }, outcome: scene.outcome };
      await assert.rejects(switchTo("target", to, ["vda"]), refused(/Unable to go on with the move of vda.*it migrates/));
      assert(!existsSync(scene.at(`path1/${record}.next`)));
    });

    it("that is refused is told with the reason, and where the guest is", () =>
      refusedWith(
        { end: "refused", why: "its domain is crashed" },
        /Unable to switch vda.*crashed\. The guest goes on writing to .*path1\/disk\.qcow2, which is current/,
      ));

    it("whose pivot is refused, or that is not all done, is told with libvirt's words", async () => {
      await refusedWith({ end: "stayed", why: "vda: busy", disks: ["vda"] }, /Unable to switch vda.* vda: busy\. What has moved has moved/);
      await refusedWith(
        { why: "the persistent definition of vda: read-only" },
        /the persistent definition of vda: read-only\. What has moved/,
      );
    });

    it("in whose middle the guest's QEMU ended is told with where its next start finds the disk", async () => {
      await refusedWith({ end: "ended", disks: ["vda"] }, /its QEMU ended in the middle\. A boot finds \S*path1\/disk\.qcow2/);
      await refusedWith({ end: "ended" }, /its QEMU ended in the middle\. A boot finds \S*path2\/disk\.qcow2/);
    });

    it("is not begun where a layer of the live chain is no longer under its name", async () => {
      const image = scene.image([
        ["path1/disk.qcow2", "qcow2"],
        ["path1/gone.raw", "raw"],
      ]);
      const words = /nothing lies at \S*path1\/gone\.raw\. Nothing was switched: the guest goes on writing to .*path1\/disk\.qcow2/;
      await assert.rejects(switched({}, { image }), refused(words));
    });

    it("on another chain ends the job", async () => {
      const cancelled: string[] = [];
      await scene.write("path2/disk.qcow2");
      const result = { end: "strayed", why: "its chain is theirs", disks: ["vda"] };
      const { site } = siteOf({ switch: () => result, cancel: (id: string) => void cancelled.push(id) });
      const going = switchAlone(site, await pivotOf(at(), scene.written(await scene.manifest())));
      await assert.rejects(going, refused(/its chain is theirs\. Nothing was switched, and the job was called off/));
      assert.deepEqual(cancelled, [jobNames.mirror(key)]);
    });

    it("of a run of 0.1.0 that is under way is waited for, and the run is refused where that does not end", async () => {
      const places = [{ key, disk: "vda", directories: [scene.at("path1")] }];
      const asked: (readonly string[])[] = [];
      const wait = (exitStatus: number, answers: Answers = {}) => {
        const run = async (_: string, args: readonly string[]) => {
          asked.push(args);
          return { exitStatus, stdout: "", stderr: "" };
        };
        const { site } = siteOf(answers);
        return awaitFormerSwitch({ ...site, host: Object.assign(Object.create(scene.host), { run }) }, places);
      };
      await wait(0);
      assert.deepEqual(asked, [["60", scene.at(`path1/${record}.turn`)]]);
      await assert.rejects(wait(1), refused(/the switch that a run of 0\.1\.0 began is not over/));
      await wait(1, { traits: qemuTraits });
      assert.equal(asked.length, 2);
    });
  });

  describe("which a switch has left suspended, and which", () => {
    const lock = () => "/run/pulumi-livedisk-domain.lock";
    const suspended = (more: Partial<GuestView> = {}): GuestView => ({
      ...emptyView,
      status: "paused",
      suspension: { switchLock: lock() },
      ...more,
    });

    it("is told where a look shows it, and only while it is paused", async () => {
      assert.equal(suspendedNow(suspended())?.switchLock, lock());
      assert.equal(suspendedNow(suspended({ status: "running" })), undefined);
      tellSuspended(siteOf().site, suspended());
      tellSuspended(siteOf().site, emptyView);
      assert.equal(scene.told.length, 1);
      assert.match(scene.told[0] ?? "", /warning: web on here is suspended for a switch/);
    });

    it("is let go once its switch can be locked, and that is told", async () => {
      const { site, asked } = siteOf({ letGo: () => "running (unpaused)", look: () => suspended() });
      await letGoSuspended(site, ["vda"]);
      assert.deepEqual(asked(), ["letGo"]);
      assert.match(scene.told.join(), /was suspended by a switch that was cut; it runs on/);
    });

    it("is waited for by a run under way as long as another has the lock of its switch", async () => {
      const worker = await scene.host.worker();
      const held = await acquireLock(
        worker,
        { path: `${await directoryUntilBoot(scene.host)}/pulumi-livedisk-domain.lock` },
        { waitSeconds: 0 },
      );
      const { site, asked } = siteOf({ letGo: assert.fail, look: () => suspended() });
      const waits: string[] = [];
      try {
        await letGoOrWait(site, ["vda"], async () => void waits.push("waited"));
      } finally {
        await held.releaseAndRemove();
      }
      assert.deepEqual([waits, asked()], [["waited"], []]);
      await assert.rejects(
        letGoOrWait(
          siteOf({ letGo: () => Promise.reject(new UserError("timed out")), look: () => suspended() }).site,
          ["vda"],
          assert.fail,
        ),
        refused(/timed out/),
      );
    });

    it("is nobody's to let go where nothing is recorded", async () => {
      const { site, asked } = siteOf({ look: () => emptyView });
      await letGoSuspended(site, ["vda"]);
      await letGoSuspended(scene.site({ look: assert.fail }).site, ["vda"]);
      assert.deepEqual(asked(), []);
    });

    it("is not let go where another account's lock is recorded, since that switch may go on, unless it runs by now", async () => {
      const theirs = { suspension: { switchLock: "/home/x/.pulumi-livedisk/pulumi-livedisk-domain.lock" } };
      const { site, asked } = siteOf({ look: () => suspended(theirs) });
      await assert.rejects(letGoSuspended(site, ["vda"]), refused(/a switch of another account has suspended it.*The guest is suspended/));
      await letGoSuspended(siteOf({ look: () => suspended({ ...theirs, status: "running" }) }).site, ["vda"]);
      assert.deepEqual(asked(), []);
    });

    it("is nobody's to let go where that switch has ended before its lock is free", async () => {
      const views = [suspended(), emptyView];
      const { site, asked } = siteOf({ look: () => views.shift() ?? assert.fail() });
      await letGoSuspended(site, ["vda"]);
      assert.deepEqual([asked(), views.length], [[], 0]);
    });

    it("is defined and written down where it runs before it may write, by its manifest, and let go also where that fails", async () => {
      await scene.write("path2/disk.qcow2");
      const manifest = await scene.manifest();
      await writeRecords(scene.host, key, manifest);
      const medium = { kind: "image" as const, ...scene.image([["path2/disk.qcow2", "qcow2"]]), definedAt: scene.at("path1/disk.qcow2") };
      const disks = [{ qdev: "vda", names: ["vda"], medium }];
      const { site, lines } = siteOf({ letGo: () => "running", look: () => suspended({ disks }) });
      await letGoSuspended(site, ["vda"]);
      assert.deepEqual(
        lines().map((line) => line.split(" ")[0]),
        ["redefine", "letGo"],
      );
      assert.deepEqual([await current("path1"), await current("path2")], [scene.at("path2/disk.qcow2"), scene.at("path2/disk.qcow2")]);
      const failing = siteOf({
        letGo: () => "running",
        redefine: () => Promise.reject(new UserError("read-only")),
        look: () => suspended({ disks }),
      });
      await assert.rejects(
        letGoSuspended(failing.site, ["vda"]),
        refused(/its persistent definition or manifests may name another file.*read-only/),
      );
      assert.deepEqual(failing.asked().at(-1), "letGo");
    });

    it("is told with libvirt's words where it does not go on", async () => {
      const { site } = siteOf({ letGo: () => Promise.reject(new UserError("timed out")), look: () => suspended() });
      await assert.rejects(letGoSuspended(site, ["vda"]), refused(/a switch that was cut has left its guest suspended, and timed out/));
    });
  });
});

/** The steps of a move of a guest that libvirt manages: what is refused, what is asked of libvirt and in which order, what is written down. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileNames } from "../../../provider/core/disk/names.js";
import { isKind, UnreachableError, UserError } from "../../../provider/core/errors.js";
import { collapseManaged, foldManaged, freezeManaged } from "../../../provider/flows/move/managed/freezing.js";
import { settleDefinition, startManagedCopy } from "../../../provider/flows/move/managed/mirror.js";
import { checkManaged } from "../../../provider/flows/move/managed/preflight.js";
import { letGoSuspended, suspendedNow, tellSuspended } from "../../../provider/flows/move/managed/suspended.js";
import { awaitSwitch, switchManaged } from "../../../provider/flows/move/managed/switch.js";
import { switchTo } from "../../../provider/flows/move/switching.js";
import type { SeenDisk, Site } from "../../../provider/flows/shared/site.js";
import type { Guest, GuestView, ManagedGuest } from "../../../provider/hypervisor/hypervisor.js";
import type { Manifest } from "../../../provider/journal/manifest.js";
import { writeRecords } from "../../../provider/journal/records.js";
import { LocalConversation } from "../../hypervisor/qemu/local-host.js";
import { type Answers, emptyView, notingManaged } from "./noting-guest.js";
import { key, MoveScene, overlayName } from "./scene.js";

let scene: MoveScene;

const record = fileNames.manifest(key);
const noBurdens = { snapshots: [], checkpoints: [], jobs: [], forbids: [] };
const refused = (pattern: RegExp) => (thrown: unknown) => isKind(thrown, "user") && pattern.test(thrown.message);

interface Scripted {
  site: Site & { destination: string };
  managed: ManagedGuest;
  /** What was asked of libvirt, a word each. */
  asked: () => string[];
  /** With its arguments. */
  lines: string[];
}

function siteOf(libvirt: Answers<ManagedGuest> = {}, answers: Answers<Guest> = {}, options: Record<string, unknown> = {}): Scripted {
  const { guest: managed, asked: lines } = notingManaged({ burdens: () => noBurdens, staying: () => [], ...libvirt });
  const { site } = scene.site({ managed, ...answers }, options);
  return { site, managed, asked: () => lines.map((line) => line.split(" ")[0] ?? ""), lines };
}

const current = async (side = "path1") => JSON.parse(await readFile(scene.at(`${side}/${record}`), "utf8")).current;
const definedAt = (path: string) => ({ image: { ...scene.image(), definedAt: scene.at(path) } });

describe("of a guest that libvirt manages", () => {
  beforeEach(async () => {
    scene = await MoveScene.open();
  });
  afterEach(() => scene[Symbol.asyncDispose]());

  describe("a move is refused", () => {
    const check = (burdens: object, options: Record<string, unknown> = {}, view: Partial<GuestView> = {}) =>
      checkManaged(
        siteOf({ burdens: () => ({ ...noBurdens, ...burdens }) }, {}, options).site,
        { view: { ...emptyView, ...view }, disks: [] },
        scene.disk(),
      );
    const snapshot = { strategy: "snapshot" };

    it("for nothing where nothing burdens it, and libvirt is asked nothing of a guest on plain QMP", async () => {
      await check({});
      await checkManaged(scene.site({ look: assert.fail }).site, { view: emptyView, disks: [] }, scene.disk());
    });
    it("where its domain is shut off", () => assert.rejects(check({}, {}, { status: "shut off" }), refused(/its domain is shut off/)));
    it("for what libvirt forbids", () => assert.rejects(check({ forbids: ["it is transient"] }), refused(/it is transient/)));
    it("for somebody else's job, by its target too", () =>
      assert.rejects(
        check({ jobs: ["Block Copy"] }, {}, { jobs: [{ id: "x", type: "mirror", status: "ready", ioStatus: "ok", target: "/theirs" }] }),
        refused(/somebody else's job runs on it \(Block Copy, a copy onto \/theirs\)/),
      ));
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
      const startCopy = async () => {
        recorded = JSON.parse(await readFile(scene.at(`path2/${record}`), "utf8")).destination.file;
      };
      const image = scene.image([
        ["path1/disk.qcow2", "qcow2"],
        ["path1/base.raw", "raw"],
        ["far/root.raw", "raw"],
      ]);
      const { site, managed, lines } = siteOf({ startCopy }, {}, { maxBytesPerSecond: 5 });
      await startManagedCopy(site, managed, scene.disk({ image }), manifest);
      assert.deepEqual(recorded, await scene.which("path2/disk.qcow2"));
      assert.equal(await readFile(scene.at("path2/disk.qcow2"), "utf8"), "");
      const [, disk, target, options] = /^startCopy (\S+) (\{.*?\}) (\{.*)$/.exec(lines[0] ?? "") ?? [];
      assert.equal(disk, '"vda"');
      assert.deepEqual(JSON.parse(target ?? ""), {
        ...{ path: scene.at("path2/disk.qcow2"), format: "qcow2" },
        below: [
          { path: scene.at("path2/base.raw"), format: "raw" },
          { path: scene.at("far/root.raw"), format: "raw" },
        ],
      });
      assert.equal(JSON.parse(options ?? "").maxBytesPerSecond, 5);
    });

    it("replaces what an ended one left of its own", async () => {
      await scene.write("path2/disk.qcow2", "half of it");
      const manifest = await scene.manifest();
      const { site, managed } = siteOf();
      await startManagedCopy(site, managed, scene.disk(), manifest);
      assert.equal(await readFile(scene.at("path2/disk.qcow2"), "utf8"), "");
    });

    it("is not begun where its domain is shut off, and libvirt's refusal is told", async () => {
      const manifest = await scene.manifest();
      const off = siteOf({}, { look: () => ({ ...emptyView, status: "shut off" }) });
      await assert.rejects(startManagedCopy(off.site, off.managed, scene.disk(), manifest), refused(/its domain is shut off/));
      assert.deepEqual([off.asked(), existsSync(scene.at("path2/disk.qcow2"))], [[], false]);
      const no = siteOf({ startCopy: () => Promise.reject(new UserError("no room")) });
      await assert.rejects(
        startManagedCopy(no.site, no.managed, scene.disk(), manifest),
        refused(/no room.*path1\/disk\.qcow2, which is current/),
      );
    });
  });

  describe("the definition after the last switch", () => {
    const settled = async (disk: SeenDisk, libvirt: Answers<ManagedGuest> = {}, more: Partial<Manifest> = {}) => {
      const { site, lines } = siteOf(libvirt);
      await settleDefinition(site, disk, await scene.manifest(more), scene.outcome);
      return lines.filter((line) => line.startsWith("redefine"));
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
    const frozen = async (
      libvirt: Answers<ManagedGuest>,
      answers: Answers<Guest> = {},
      more: Partial<SeenDisk> = definedAt("path1/disk.qcow2"),
    ) => {
      const manifest = { ...(await scene.frozen("commit")), current: scene.at("path1/disk.qcow2") };
      await scene.take(`path1/${overlayName}`);
      const scripted = siteOf(libvirt, answers);
      await freezeManaged(scripted.site, scripted.managed, [scene.written(manifest, more)]);
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
      assert.match(lines.join("\n"), new RegExp(`redefine "vda" .*${overlayName}.*\nfreeze \\[\\{"disk":"vda","path":".*${overlayName}"`));
    });

    it("of a domain that is not defined defines nothing", async () => {
      assert.deepEqual((await frozen({}, {}, {})).asked(), ["freeze"]);
    });

    it("that is refused is taken back: the definition and `current` name what the guest runs on", async () => {
      const medium = { kind: "image", ...scene.image(), definedAt: scene.at(`path1/${overlayName}`) };
      const look = () => ({ ...emptyView, disks: [{ qdev: "vda", names: ["vda"], medium }] });
      const redefined: string[] = [];
      const redefine = (_: string, { path }: { path: string }) => void redefined.push(path);
      const freeze = () => Promise.reject(new UserError("op blocked"));
      await assert.rejects(frozen({ freeze, redefine }, { look }), refused(/Unable to freeze vda.*op blocked/));
      assert.deepEqual([redefined.at(-1), await current()], [scene.at("path1/disk.qcow2"), scene.at("path1/disk.qcow2")]);
    });

    it("whose answer is lost is not taken back: the guest may run on the overlay", async () => {
      const look = assert.fail;
      await assert.rejects(frozen({ freeze: () => Promise.reject(new UnreachableError("lost")) }, { look }), /lost/);
      assert((await current()).endsWith(overlayName));
    });

    it("that is refused while the guest runs on the overlay all the same keeps `current` there", async () => {
      const medium = { kind: "image", ...scene.image([[`path1/${overlayName}`, "qcow2"]]) };
      const look = () => ({ ...emptyView, disks: [{ qdev: "vda", names: ["vda"], medium }] });
      await assert.rejects(frozen({ freeze: () => Promise.reject(new UserError("late")) }, { look }), refused(/late/));
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
      const { site, managed, lines } = siteOf({}, {}, { maxBytesPerSecond: 3 });
      await collapseManaged(site, managed, scene.written(await scene.frozen("commit"), { image: image() }));
      await collapseManaged(site, managed, scene.written(await scene.frozen("pull"), { image: image() }));
      const layers = JSON.stringify({ top: scene.at(`path2/${overlayName}`), base: scene.at("path2/disk.qcow2") });
      assert.deepEqual(lines, [`startCommit "vda" ${layers} 3`, `startPull "vda" ${JSON.stringify(scene.at("path2/base.raw"))} 3`]);
    });

    it("goes back by a commit of the overlay into the former image, once nothing of the destination is left", async () => {
      const manifest = await scene.frozen("commit");
      await scene.write(`path2/${overlayName}`);
      manifest.destination.file = await scene.which(`path2/${overlayName}`);
      let isThere: boolean | undefined;
      const startCommit = () => {
        isThere = existsSync(scene.at(`path2/${overlayName}`));
      };
      const { site, managed, lines } = siteOf({ startCommit });
      await foldManaged(site, managed, scene.written(manifest));
      const layers = JSON.stringify({ top: scene.at(`path1/${overlayName}`), base: scene.at("path1/disk.qcow2") });
      assert.deepEqual([lines, isThere], [[`startCommit "vda" ${layers} 0`], false]);
    });

    it("that libvirt does not shorten is told in words", async () => {
      const { site, managed } = siteOf({ startCommit: () => Promise.reject(new UserError("busy")) });
      const disk = scene.written(await scene.frozen("commit"), { image: image() });
      await assert.rejects(collapseManaged(site, managed, disk), refused(/Unable to shorten the chain of vda.*busy.*no write is lost/));
      await assert.rejects(foldManaged(site, managed, disk), refused(/Unable to undo the move of vda.*busy/));
    });
  });

  describe("a switch", () => {
    /** The script on the host, as far as it speaks. */
    async function switched(script: string, libvirt: Answers<ManagedGuest> = {}, more: Partial<SeenDisk> = {}) {
      await scene.write("path2/disk.qcow2");
      const manifest = await scene.manifest();
      const { site, managed } = siteOf({ definitionAt: () => "<disk/>", ...libvirt });
      const opened: string[][] = [];
      const open = async (_: string, args: readonly string[]) => {
        opened.push([...args]);
        return new LocalConversation(script, args);
      };
      const host = Object.assign(Object.create(scene.host), { open });
      const seen = { view: emptyView, disks: [] };
      await switchManaged({ site: { ...site, host }, managed, seen, outcome: scene.outcome }, [scene.written(manifest, more)], "target");
      return opened[0] ?? [];
    }
    const good = "echo armed; read -r go; echo switched 12; read -r end";

    it("is prepared on both sides before the guest is suspended, and tells how long that was", async () => {
      const args = await switched(good, {}, definedAt("path1/disk.qcow2"));
      for (const side of ["path1", "path2"]) {
        assert.equal(JSON.parse(await readFile(scene.at(`${side}/${record}.next`), "utf8")).current, scene.at("path2/disk.qcow2"));
        assert.equal(JSON.parse(await readFile(scene.at(`${side}/${record}.back`), "utf8")).current, scene.at("path1/disk.qcow2"));
      }
      assert.equal(await readFile(scene.at(`path1/${record}.xml`), "utf8"), "<disk/>");
      assert.equal(scene.outcome.tell("vda")?.pauseMs, 12);
      const [uri, domain, recordIt, endIt, isRecorded, id, ...disk] = args;
      assert.deepEqual([uri, domain, id], ["qemu:///system", "'domain'", "domain"]);
      assert.match(recordIt ?? "", /^metadata .*'--set' '<suspended switchLock=.*\.turn/);
      assert.match(endIt ?? "", /--remove/);
      assert.match(isRecorded ?? "", /^metadata --live --uri \S+ '--domain' 'domain'$/);
      const [path1, path2] = ["path1", "path2"].map((side) => scene.at(`${side}/${record}`));
      assert.deepEqual(disk, [
        ...["vda", path1, path2, scene.at("path1/disk.qcow2"), scene.quarantine, scene.at("path2/disk.qcow2")],
        ...[`update-device --config 'domain' '${path1}.xml'`, "'vda'"],
      ]);
    });

    it("is not begun where the guest is on its way elsewhere", async () => {
      await scene.write("path2/disk.qcow2");
      const disk = scene.written(await scene.manifest({ layers: [] }));
      const { site } = siteOf({}, { blockers: () => [{ concerns: "guest", why: "it migrates", advice: "Wait." }] });
      const host = Object.assign(Object.create(scene.host), { open: assert.fail });
      const to = { site: { ...site, host }, seen: { view: emptyView, disks: [disk] }, outcome: scene.outcome };
      await assert.rejects(switchTo("target", to, ["vda"]), refused(/Unable to go on with the move of vda.*it migrates/));
      assert(!existsSync(scene.at(`path1/${record}.next`)));
    });

    it("of a domain that is not defined defines nothing", async () => {
      const args = await switched(good, { definitionAt: assert.fail });
      assert.equal(args.at(-2), "");
    });

    it("that is refused before or after the guest was suspended is told with libvirt's words", async () => {
      await assert.rejects(
        switched("echo 'failed 0 it is paused'; read -r x"),
        refused(/Unable to switch vda.*it is paused\. What has moved has moved/),
      );
      await assert.rejects(switched("echo armed; read -r go; echo 'failed 7 busy;'; read -r x"), refused(/Unable to switch vda.* busy\./));
    });

    it("waits for one that is under way, and is refused where that does not end", async () => {
      const places = [{ key, disk: "vda", directories: [scene.at("path1")] }];
      const asked: (readonly string[])[] = [];
      const wait = (exitStatus: number, answers: Answers<Guest> = {}) => {
        const run = async (_: string, args: readonly string[]) => {
          asked.push(args);
          return { exitStatus, stdout: "", stderr: "" };
        };
        const { site } = siteOf({}, answers);
        return awaitSwitch({ ...site, host: Object.assign(Object.create(scene.host), { run }) }, places);
      };
      await wait(0);
      assert.deepEqual(asked, [[scene.at(`path1/${record}.turn`)]]);
      await assert.rejects(wait(1), refused(/the switch that an earlier run began is not over/));
      await wait(1, { managed: undefined });
      assert.equal(asked.length, 2);
    });
  });

  describe("that a switch has left suspended,", () => {
    const lock = () => scene.at(`path1/${record}.turn`);
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
      await scene.write(`path1/${record}.turn`);
      const { site, asked } = siteOf({ letGo: () => "running (unpaused)" }, { look: () => suspended() });
      await letGoSuspended(site, ["vda"]);
      assert.deepEqual(asked(), ["letGo"]);
      assert.match(scene.told.join(), /was suspended by a switch that was cut; it runs on/);
    });

    it("is nobody's to let go where nothing is recorded", async () => {
      const { site, asked } = siteOf({}, { look: () => emptyView });
      await letGoSuspended(site, ["vda"]);
      await letGoSuspended(scene.site({ look: assert.fail }).site, ["vda"]);
      assert.deepEqual(asked(), []);
    });

    it("is not let go where the lock is not there, since the switch may go on", async () => {
      const { site, asked } = siteOf({}, { look: () => suspended() });
      await assert.rejects(letGoSuspended(site, ["vda"]), refused(/\.turn cannot be locked \(it is not there\).*The guest is suspended/));
      assert.deepEqual(asked(), []);
    });

    it("needs nothing where it runs by now, whatever the lock", async () => {
      const { site, asked } = siteOf({}, { look: () => suspended({ status: "running" }) });
      await letGoSuspended(site, ["vda"]);
      assert.deepEqual(asked(), []);
    });

    it("is looked at again where that switch has ended meanwhile", async () => {
      await scene.write(`path1/${record}.turn`);
      const views = [suspended(), emptyView, emptyView];
      const { site, asked } = siteOf({}, { look: () => views.shift() ?? assert.fail() });
      await letGoSuspended(site, ["vda"]);
      assert.deepEqual([asked(), views.length], [[], 0]);
    });

    it("is defined where it runs before it may write, by its manifest, and let go also where that fails", async () => {
      await scene.write(`path1/${record}.turn`);
      await scene.write("path2/disk.qcow2");
      const manifest = await scene.manifest();
      await writeRecords(scene.host, key, manifest);
      const medium = { kind: "image" as const, ...scene.image([["path2/disk.qcow2", "qcow2"]]), definedAt: scene.at("path1/disk.qcow2") };
      const disks = [{ qdev: "vda", names: ["vda"], medium }];
      const { site, lines } = siteOf({ letGo: () => "running" }, { look: () => suspended({ disks }) });
      await letGoSuspended(site, ["vda"]);
      assert.deepEqual(
        lines.map((line) => line.split(" ")[0]),
        ["redefine", "letGo"],
      );
      const failing = siteOf(
        { letGo: () => "running", redefine: () => Promise.reject(new UserError("read-only")) },
        { look: () => suspended({ disks }) },
      );
      await assert.rejects(letGoSuspended(failing.site, ["vda"]), refused(/its persistent definition may name another file.*read-only/));
      assert.deepEqual(failing.asked().at(-1), "letGo");
    });

    it("is told with libvirt's words where it does not go on", async () => {
      await scene.write(`path1/${record}.turn`);
      const { site } = siteOf({ letGo: () => Promise.reject(new UserError("timed out")) }, { look: () => suspended() });
      await assert.rejects(letGoSuspended(site, ["vda"]), refused(/a switch that was cut has left its guest suspended, and timed out/));
    });
  });
});

/** A switch that is cut together with its host's program, stage by stage, and what the next run makes of it, whatever QEMU has done meanwhile. */

import assert from "node:assert/strict";
import { existsSync, readlinkSync } from "node:fs";
import { readFile, realpath, stat, symlink, utimes } from "node:fs/promises";
import { fileNames } from "../../../provider/core/disk/names.js";
import { isKind, UnreachableError } from "../../../provider/core/errors.js";
import { type Converged, converge, HalfWay } from "../../../provider/flows/move/converge.js";
import { writeEnds } from "../../../provider/flows/move/end-switch.js";
import type { Host } from "../../../provider/host/host.js";
import { GuestNotRunning } from "../../../provider/hypervisor/hypervisor.js";
import { readRecords } from "../../../provider/journal/records.js";
import { currentIn } from "../../sandbox/current.js";
import { keyOf, type ModelScene, modelScene } from "../model-scene.js";
import type { Answers } from "./noting-guest.js";

let here: ModelScene;

const at = (name: string) => here.scene.at(name);
const snapshot = { strategy: "snapshot", restartDuringMove: "from-manifest" };
const record = fileNames.switchRecord(keyOf("vda"));

/** A second after whatever was written before. */
async function writeTo(image: string): Promise<void> {
  const { mtimeMs } = await stat(image);
  const later = Math.max(mtimeMs, Date.now()) / 1000 + 1;
  await utimes(image, later, later);
}

type Through = "link" | "name";

function move(through: Through, answers: Answers = {}, options: Record<string, unknown> = {}): Promise<Converged> {
  return converge(here.site(answers, { ...options, ...(through === "link" && { link: at("link") }) }), here.disks, "arrive");
}

async function undo(): Promise<Converged> {
  const { destination: _, ...site } = here.site();
  return converge(site, here.disks, "withdraw");
}

const cut = (thrown: unknown) => thrown instanceof HalfWay && /the connection was lost/.test(thrown.message);

/** The move's switch, and the program that makes it, end after so many stages. */
async function cutAfter(through: Through, afterStages: number): Promise<void> {
  if (through === "link") {
    await symlink(at("path1"), at("link"));
    here.model.restart({ vda: at("link/disk.qcow2") });
  }
  here.model.workerDies = { afterStages };
  await assert.rejects(move(through), cut);
}

const manifestAt = (side: string, qdev = "vda") => readFile(at(`${side}/${fileNames.manifest(keyOf(qdev))}`), "utf8");

/** What both manifests of every disk say together. */
async function current(): Promise<string> {
  const sides = here.disks.flatMap((qdev) =>
    ["path1", "path2"].map(async (side) => (await currentIn(await manifestAt(side, qdev))).split("/").at(-2)),
  );
  const [said, ...others] = new Set(await Promise.all(sides));
  assert.deepEqual(others, [], "the manifests differ");
  return said ?? assert.fail();
}

async function isThere(through: Through): Promise<void> {
  const chain = await Promise.all(here.model.chain("vda").map((image) => realpath(image)));
  assert.deepEqual([chain, here.model.jobs], [[at("path2/disk.qcow2"), at("path2/base.raw")], []]);
  assert.deepEqual(await here.files("path2"), ["base.raw", "disk.qcow2"]);
  assert.deepEqual(
    (await here.files("path1")).map((name) => name.replace(/lm-.*/, "lm")),
    ["base.raw", "disk.qcow2.lm"],
  );
  if (through === "link") assert.equal(readlinkSync(at("link")), at("path2"));
}

async function isUndone(through: Through): Promise<void> {
  assert.deepEqual([here.model.chain("vda")[0]?.split("/").at(-1), here.model.jobs], ["disk.qcow2", []]);
  assert.deepEqual([await here.files("path1"), await here.files("path2")], [["base.raw", "disk.qcow2"], []]);
  if (through === "link") assert.equal(readlinkSync(at("link")), at("path1"));
}

/** A host to which the connection is lost after so many commands. */
function failingAfter(host: Host, commands: number): Host {
  let left = commands;
  const run: Host["run"] = (...args) =>
    left-- > 0 ? host.run(...args) : Promise.reject(new UnreachableError("the connection was lost. Run `pulumi up` again."));
  return Object.assign(Object.create(host), { run });
}

/** Of each way to a boot: after how many stages the switch is decided, and what each stage is. */
const stages = {
  link: ["the manifests", "the link", "the old name"],
  name: ["the manifests", "the old name", "the switch record"],
} as const;
const decidedAfter = { link: 2, name: 3 } as const;

describe("a switch that was cut together with its host's program", () => {
  beforeEach(async () => {
    here = await modelScene();
  });
  afterEach(() => here.scene[Symbol.asyncDispose]());

  for (const through of ["link", "name"] as const)
    for (const [index, stage] of stages[through].entries()) {
      const side = index + 1 >= decidedAfter[through] ? "path2" : "path1";
      const [other, ended] = side === "path2" ? ["path1", "finalize"] : ["path2", "cancel"];
      const title = `through its ${through} after ${stage}`;

      it(`${title} has its disk in ${side}, and the next run ends its job by "${ended}" before anything else`, async () => {
        await cutAfter(through, index + 1);
        assert.equal(await current(), side);
        const done = here.model.done.length;
        await move(through);
        assert.equal(here.model.done[done], `${ended} lm-${keyOf("vda")}-mirror`);
        await isThere(through);
      });

      it(`${title} ${side === "path2" ? "is finished" : "is undone"} by a delete`, async () => {
        await cutAfter(through, index + 1);
        await undo();
        await (side === "path2" ? isThere : isUndone)(through);
      });

      it(`${title}, whose QEMU ended too, can be started from ${side} after the next run, which says so`, async () => {
        await cutAfter(through, index + 1);
        const look = () => Promise.reject(new GuestNotRunning("Nobody listens."));
        const left = { domainId: "domain", directories: [at("path2")] };
        const image = at(`${side}/disk.qcow2`);
        await assert.rejects(converge({ ...here.site({ look }), left }, here.disks, "arrive"), (thrown) => {
          assert(thrown instanceof GuestNotRunning);
          assert(
            thrown.message.includes(`It ended in a switch, which is ended now: current: vda at ${image}. Start the guest from there`),
            thrown.message,
          );
          return true;
        });
        assert.deepEqual(
          [existsSync(image), existsSync(at(`path1/${record}`)), existsSync(at(`path1/${record}.next`))],
          [true, false, false],
        );
        for (const each of ["path1", "path2"]) assert.equal(JSON.parse(await manifestAt(each)).current, image);
        assert.equal(existsSync(at("path1/disk.qcow2")), side === "path1");
        here.model.restart({ vda: through === "link" ? at("link/disk.qcow2") : image });
        await writeTo(image);
        await move(through);
        await isThere(through);
      });

      // the old name is gone by then: no boot comes before the run above
      if (through === "name" && index === 1) continue;
      it(`${title}, whose guest was started again in ${side}, goes on from there`, async () => {
        await cutAfter(through, index + 1);
        here.model.restart({ vda: through === "link" ? at("link/disk.qcow2") : at(`${side}/disk.qcow2`) });
        await writeTo(at(`${side}/disk.qcow2`));
        await move(through);
        await isThere(through);
      });

      it(`${title}, whose guest ran in both places since, is left as it is, in words`, async () => {
        await cutAfter(through, index + 1);
        here.model.restart({ vda: at(`${side}/disk.qcow2`) });
        const elsewhere =
          other === "path2" ? "path2/disk.qcow2" : `path1/${(await here.files("path1")).find((name) => name.startsWith("disk.qcow2"))}`;
        await writeTo(at(elsewhere));
        const before = [await manifestAt("path1"), await manifestAt("path2"), await here.files("path1"), await here.files("path2")];
        await assert.rejects(
          move(through),
          (thrown) =>
            thrown instanceof HalfWay &&
            /its switch from .* was cut.*was written to since: each may hold writes that the other lacks/.test(thrown.message),
        );
        assert.deepEqual(
          [await manifestAt("path1"), await manifestAt("path2"), await here.files("path1"), await here.files("path2")],
          before,
        );
      });
    }

  it("decided by its link: a guest started by the old name is followed, since the other image was not written to", async () => {
    await cutAfter("link", 2);
    here.model.restart({ vda: at("path1/disk.qcow2") });
    await writeTo(at("path1/disk.qcow2"));
    await undo();
    await isUndone("link");
  });

  it("of two disks is ended for both, by one record", async () => {
    for (const [index, side] of ["path1", "path1", "path2"].entries()) {
      here = await modelScene();
      await using scene = here.scene;
      await here.plug("vdb");
      here.model.workerDies = { afterStages: index + 1 };
      await assert.rejects(move("name"), cut);
      assert.equal(await current(), side);
      const done = here.model.done.length;
      await move("name");
      const ended = side === "path2" ? "finalize" : "cancel";
      assert.deepEqual(
        here.model.done.slice(done, done + 2),
        ["vda", "vdb"].map((qdev) => `${ended} lm-${keyOf(qdev)}-mirror`),
      );
      assert.deepEqual(
        [here.model.chain("vda")[0], here.model.chain("vdb")[0]],
        [scene.at("path2/disk.qcow2"), scene.at("path2/vdb.qcow2")],
      );
      assert.deepEqual(
        (await here.files("path1")).filter((name) => name.startsWith("lm-")),
        [],
      );
    }
  });

  it("of two disks, one of which is looked after no more, is ended for that one, and then for the other", async () => {
    await here.plug("vdb");
    here.model.workerDies = { afterStages: 3 };
    await assert.rejects(move("name"), cut);
    const { destination: _, ...site } = here.site();
    await converge(site, ["vda"], "withdraw");
    assert.equal(existsSync(at(`path1/${record}`)), true);
    await converge(here.site(), ["vdb"], "arrive");
    assert.deepEqual([here.model.chain("vda")[0], here.model.chain("vdb")[0]], [at("path2/disk.qcow2"), at("path2/vdb.qcow2")]);
    assert.deepEqual(
      (await here.files("path1")).filter((name) => name.startsWith("lm-")),
      [],
    );
  });

  for (const [job, command] of [
    ["pivot", "startMirror"],
    ["collapse", "startCommit"],
  ] as const)
    for (const through of ["link", "name"] as const)
      it(`with strategy snapshot is ended wherever its ${job} is cut, decided by its ${through}`, async () => {
        for (let afterStages = 1; afterStages <= (job === "pivot" ? 3 : 2); afterStages++) {
          here = await modelScene();
          await using scene = here.scene;
          if (through === "link") await symlink(scene.at("path1"), scene.at("link"));
          if (through === "link") here.model.restart({ vda: scene.at("link/disk.qcow2") });
          const start = here.model.answers()[command] as (...args: unknown[]) => unknown;
          const dying = (...args: unknown[]) => {
            here.model.workerDies = { afterStages };
            return start(...args);
          };
          await assert.rejects(move(through, { [command]: dying }, snapshot), cut);
          await current();
          await move(through, {}, snapshot);
          await isThere(through);
        }
      });

  for (const [through, afterStages, ends] of [
    ["link", 2, "before"],
    ["name", 1, "after"],
  ] as const)
    it(`through its ${through}, cut after ${stages[through][afterStages - 1]}, may be cut again at each command of its end ${ends} it`, async () => {
      for (let commands = 0, isDone = false; !isDone; commands++) {
        here = await modelScene();
        await using scene = here.scene;
        assert(commands < 60, "it does not come to its end");
        await cutAfter(through, afterStages);
        const disk = async () => {
          const records = await readRecords(scene.host, keyOf("vda"), [at("path1")]);
          return records?.cut ? [{ ...records.cut, key: keyOf("vda"), ends }] : [];
        };
        const [found] = await disk();
        isDone = await writeEnds(failingAfter(scene.host, commands), await disk()).then(
          () => true,
          () => false,
        );
        const side = ends === "before" ? "path1" : "path2";
        assert((await current()) === side || (!isDone && found?.ends !== found?.decided), `after ${commands} commands`);
        await writeEnds(scene.host, await disk());
        assert.equal(JSON.parse(await manifestAt("path1")).current, at(`${side}/disk.qcow2`));
        assert.equal(await current(), side);
        assert.equal(existsSync(at("path1/disk.qcow2")), ends === "before");
        if (through === "link") assert.equal(readlinkSync(at("link")), at(side));
        if (!(await here.files("path1")).some((name) => name.includes(".switch.json"))) continue;
        // cut right before its removal: it goes with the rest of the move
        await move(through);
        await isThere(through);
      }
    });

  it("without what decides it is left as it is, and says what to do", async () => {
    await cutAfter("name", 1);
    await here.scene.take(`path1/${record}.next`);
    const before = await manifestAt("path1");
    await assert.rejects(
      move("name"),
      (thrown) =>
        isKind(thrown, "user") &&
        new RegExp(`was cut, and neither .*${record} nor .*next is there, which decides\\. Nothing was touched`).test(thrown.message),
    );
    assert.equal(await manifestAt("path1"), before);
  });
});

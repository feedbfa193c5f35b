/** For each resource: what a preview shows is what `up` does, then nothing is left to do, and `destroy` ends as it promises. */

import assert from "node:assert/strict";
import { mkdir, readdir, realpath } from "node:fs/promises";
import path from "node:path";
import type { Properties } from "../../provider/core/lifecycle.js";
import { run } from "../sandbox/command.js";
import type { DiskOptions, LayerOptions } from "../sandbox/disks.js";
import { imageFile } from "../sandbox/operator.js";
import { Stage } from "../storage-migration/stage.js";
import { changesOf, type Declared, DeclaredStack, placeOf, plansIn } from "./declared.js";

type At = (...names: string[]) => string;

interface Row {
  kind: Declared["kind"];
  what: string;
  disk: string;
  /** At first, and what then changes in place. */
  first: (at: At) => Properties;
  next: (at: At) => Properties;
  /** What the user does by hand before `destroy`. */
  meanwhile?: (at: At) => Promise<unknown>;
  changed: string[];
  plan: (at: At) => string[];
  /** The files of the live chain, top first: after the create, the update, `destroy`. */
  chains: [string[], string[], string[]];
}

const small = (file: string, byte: number): LayerOptions => ({ file, fill: { byte, fromMiB: byte % 8, lengthMiB: 8 } });
const layers = (disk: string, names: readonly string[]): LayerOptions[] =>
  names.map((name, index) => small(`${disk}-${name}`, 17 * (index + 1)));
const snapshot = { strategy: "snapshot", restartDuringMove: "from-manifest" };

const rows: Row[] = [
  {
    ...{ kind: "DomainDisk", what: "with storage", disk: "vda" },
    first: (at) => ({ disk: "vda", storage: at("path1") }),
    next: (at) => ({ disk: "vda", storage: at("path2") }),
    changed: ["storage"],
    plan: (at) => [
      `plan: vda: 2 layers, … MiB, from ${at("path1/vda-old")} to ${at("path2")}, live: copy the lower layers that are not there yet, mirror the active one, switch, tidy`,
    ],
    chains: [
      ["path1/vda-old", "path1/vda-common"],
      ["path2/vda-old", "path2/vda-common"],
      ["path2/vda-old", "path2/vda-common"],
    ],
  },
  {
    ...{ kind: "DomainDisk", what: "with base", disk: "vdb" },
    first: (at) => ({ disk: "vdb", base: at("path1/vdb-middle") }),
    next: (at) => ({ disk: "vdb", base: at("path1/vdb-base") }),
    changed: ["base"],
    plan: (at) => [
      `plan: vdb: pull ${at("path1/vdb-middle")} up into ${at("path1/vdb-top")}, which then stands on ${at("path1/vdb-base")}, live`,
    ],
    chains: [
      ["path1/vdb-top", "path1/vdb-middle", "path1/vdb-base"],
      ["path1/vdb-top", "path1/vdb-base"],
      ["path1/vdb-top", "path1/vdb-base"],
    ],
  },
  {
    ...{ kind: "StorageMigration", what: "with strategy mirror, a base that stays, verified", disk: "vdc" },
    first: (at) => ({ disks: ["vdc"], destination: at("path1"), verify: "full", keepBase: at("path1/vdc-base") }),
    next: (at) => ({ disks: ["vdc"], destination: at("path2"), verify: "full", keepBase: at("path1/vdc-base") }),
    changed: ["destination"],
    plan: (at) => [
      `plan: vdc: 2 layers, … MiB, from ${at("path1/vdc-top")} (${at("path1/vdc-base")} stays) to ${at("path2")}, live: copy the lower layers that are not there yet, ` +
        "compare the copies with their sources, mirror the active one, switch, tidy",
    ],
    chains: [
      ["path1/vdc-top", "path1/vdc-middle", "path1/vdc-base"],
      ["path2/vdc-top", "path2/vdc-middle", "path1/vdc-base"],
      ["path2/vdc-top", "path2/vdc-middle", "path1/vdc-base"],
    ],
  },
  {
    ...{ kind: "StorageMigration", what: "with strategy snapshot", disk: "vdd" },
    first: (at) => ({ disks: ["vdd"], destination: at("path1"), ...snapshot, collapse: "none" }),
    next: (at) => ({ disks: ["vdd"], destination: at("path2"), ...snapshot, collapse: "commit" }),
    changed: ["collapse", "destination"],
    plan: (at) => [
      `plan: vdd: 2 layers, … MiB, from ${at("path1/vdd-old")} to ${at("path2")}, live: freeze all under overlays at once, copy all layers, ` +
        "mirror the overlay, switch, commit the overlay down, tidy",
    ],
    chains: [
      ["path1/vdd-old", "path1/vdd-common"],
      ["path2/vdd-old", "path2/vdd-common"],
      ["path2/vdd-old", "path2/vdd-common"],
    ],
  },
  {
    ...{ kind: "MirroredSnapshot", what: "ended by a pivot", disk: "vde" },
    first: (at) => ({ disks: [{ disk: "vde", file: at("path1/vde-overlay"), mirror: at("path2/vde-new") }] }),
    next: (at) => ({ disks: [{ disk: "vde", file: at("path1/vde-overlay"), mirror: at("path2/vde-new") }], onDelete: "pivot" }),
    meanwhile: (at) => run("cp", ["--sparse=always", at("path1/vde-old"), at("path1/vde-common"), at("path2")]),
    changed: ["onDelete"],
    plan: (at) => [
      `plan: vde: deleting it will compare the copies, then let the guest run on ${at("path2/vde-new")}, and rename ${at("path1/vde-overlay")}`,
    ],
    chains: [
      ["path1/vde-overlay", "path1/vde-old", "path1/vde-common"],
      ["path1/vde-overlay", "path1/vde-old", "path1/vde-common"],
      ["path2/vde-new", "path2/vde-old", "path2/vde-common"],
    ],
  },
  {
    ...{ kind: "MirroredSnapshot", what: "ended by an abort", disk: "vdf" },
    first: (at) => ({ disks: [{ disk: "vdf", file: at("path1/vdf-overlay"), mirror: at("path2/vdf-new") }], onDelete: "pivot" }),
    next: (at) => ({ disks: [{ disk: "vdf", file: at("path1/vdf-overlay"), mirror: at("path2/vdf-new") }], onDelete: "abort" }),
    changed: ["onDelete"],
    plan: (at) => [`plan: vdf: deleting it will drop ${at("path2/vdf-new")} and leave the guest on ${at("path1/vdf-overlay")}`],
    chains: [
      ["path1/vdf-overlay", "path1/vdf-old", "path1/vdf-common"],
      ["path1/vdf-overlay", "path1/vdf-old", "path1/vdf-common"],
      ["path1/vdf-overlay", "path1/vdf-old", "path1/vdf-common"],
    ],
  },
];

describe("the life of a resource, as an engine sees it", function () {
  this.timeout(240_000);
  let stage: Stage;

  for (const row of rows) {
    describe(`of a ${row.kind} ${row.what}:`, () => {
      beforeEach(async () => {
        stage = await Stage.open({ sandboxName: "lifecycles", disks: (at) => [diskOf(row, at("path1"))] });
        await mkdir(stage.at("path2"), { recursive: true });
      });
      afterEach(() => stage?.[Symbol.asyncDispose]());

      it("previewed, done, nothing left, destroyed, no write lost", async () => {
        const { kind, disk, first, next, meanwhile, changed, chains } = row;
        const at: At = (...names) => stage.at(...names);
        const stack = new DeclaredStack(stage.sandbox, disk);
        const program = (args: Properties): Declared[] => [{ kind, name: disk, args: { ...placeOf(stage.sandbox, stage.guest), ...args } }];
        const declared = program(next(at));

        const created = await both(stack, program(first(at)), disk);
        assert.deepEqual(created, [[disk, "create", []]]);
        assert.deepEqual(await chainOf(disk), chains[0]);

        const updated = await both(stack, declared, disk, row.plan(at));
        assert.deepEqual(updated, [[disk, "update", changed]]);
        assert.deepEqual(await chainOf(disk), chains[1]);

        await assertNothingLeft(stack, declared);
        await meanwhile?.(at);
        const destroyed = await stack.must("destroy", declared);
        assert.deepEqual(changesOf(destroyed.changes), [[disk, "delete", []]]);
        assert.deepEqual(await chainOf(disk), chains[2]);
        const before = stage.guest.acknowledged(disk);
        await stage.guest.waitForRecords(3);
        assert.ok(stage.guest.acknowledged(disk) > before);
        await assertNothingOfOurs(disk);
      });
    });
  }

  /** No manifest, no lock and no job; and every acknowledged write is in the image. */
  async function assertNothingOfOurs(disk: string): Promise<void> {
    const files = [...(await readdir(stage.at("path1"))), ...(await readdir(stage.at("path2")))];
    assert.deepEqual(
      files.filter((name) => name.startsWith("lm-")),
      [],
    );
    assert.deepEqual(await stage.operator.execute("query-jobs"), []);
    const image = await stage.operator.activeImage(disk);
    await stage.guest.stop();
    await stage.holdsAll(image, disk);
  }

  /** A preview, which touches nothing, and an `up` that does what it showed. @returns what both said */
  async function both(stack: DeclaredStack, declared: readonly Declared[], disk: string, plans: string[] = []) {
    const before = await chainOf(disk);
    const preview = await stack.must("preview", declared);
    assert.deepEqual(await chainOf(disk), before);
    assert.deepEqual(plansIn(preview), plans, preview.output);
    const up = await stack.must("up", declared);
    assert.deepEqual(plansIn(up), plans, up.output);
    assert.deepEqual(changesOf(up.changes), changesOf(preview.changes));
    return changesOf(up.changes);
  }

  async function assertNothingLeft(stack: DeclaredStack, declared: readonly Declared[]): Promise<void> {
    const refreshed = await stack.must("refresh", declared);
    assert.deepEqual(changesOf(refreshed.refreshed), []);
    const preview = await stack.must("preview", declared, { expectNoChanges: true });
    assert.deepEqual([...changesOf(preview.changes), ...changesOf(preview.refreshed)], []);
    assert.deepEqual(plansIn(preview), []);
  }

  /** By the guest's second monitor; a mirror's filter has its image's name, too. */
  async function chainOf(disk: string): Promise<string[]> {
    const blocks = (await stage.operator.execute("query-block")) as { qdev?: string; inserted?: { image: Image } }[];
    const paths: string[] = [];
    let image = blocks.find(({ qdev }) => qdev?.includes(`/${disk}/`))?.inserted?.image;
    for (; image !== undefined; image = image["backing-image"]) paths.push(await placeIn(image.filename));
    return paths.filter((name, index) => name !== paths[index - 1]);
  }

  async function placeIn(name: string): Promise<string> {
    return path.relative(await realpath(stage.folder), await realpath(imageFile(name)));
  }
});

interface Image {
  filename: string;
  "backing-image"?: Image;
}

function diskOf({ disk, chains }: Row, storage: string): DiskOptions {
  const names = chains[0].map((file) => path.basename(file).replace(`${disk}-`, "")).filter((name) => name !== "overlay");
  return { id: disk, storage, layers: layers(disk, names.reverse()), virtualMiB: 256 };
}

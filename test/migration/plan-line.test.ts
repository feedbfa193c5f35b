import assert from "node:assert/strict";
import type { Lifecycle, Properties } from "../../provider/core/lifecycle.js";
import { domainDisk } from "../../provider/resources/domain-disk/lifecycle.js";
import { mirroredSnapshot } from "../../provider/resources/mirrored-snapshot/lifecycle.js";
import { storageMigration } from "../../provider/resources/storage-migration/lifecycle.js";
import { Recorder } from "../storage-migration/recorder.js";

const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
const place = { host: { address: "db-3", user: "root" }, domain: { qmp: "/run/vm/web.qmp" } };
const layer = (path: string, mebibytes = 64) => ({ path, format: "qcow2", virtualBytes: 2 ** 30, allocatedBytes: mebibytes * 2 ** 20 });
const chain = [layer("/slow/old"), layer("/slow/common", 32)];
/** As 0.1.0 writes it: without a status. */
const seen = (phase: string, layers = chain) => ({ phase, bootPath: layers[0]?.path, chain: layers });
const stands = (status: string, layers = chain) => ({ status, bootPath: layers[0]?.path, chain: layers });

/** What a preview says. */
function plan(lifecycle: Lifecycle, before: Properties, now: Properties): string {
  const teller = new Recorder();
  const inputs = (bag: Properties) => lifecycle.check({}, { ...place, ...bag }).inputs;
  const { moves, status, phase, chain: last, states, declared: remembered, ...declared } = before;
  const shown = {
    ...(moves !== undefined && { moves }),
    ...(phase !== undefined && { phase, chain: last }),
    ...(status !== undefined && { status, chain: last }),
    ...(states !== undefined && { states }),
    ...(remembered !== undefined && { declared: remembered }),
  };
  lifecycle.diff("id", { ...inputs(declared), ...shown }, inputs(now), teller);
  return teller.said.join("\n").replace(/^info: plan: /gm, "");
}

const mirror = "copy the lower layers that are not there yet, mirror the active one, switch, tidy";
const at = { disks: ["vda"], destination: "/slow", moves: { vda: seen("settled") } };
const twoDisks = { disks: ["vda", "vdb"], destination: "/slow" };
const several = "in several places: vda in /other; vdb in /slow";
const strayed = { vda: seen("idle", [layer("/other/old")]), vdb: seen("settled", [layer("/slow/b")]) };
const byOverlay = { strategy: "snapshot", restartDuringMove: "from-manifest" };

describe("the plan of a StorageMigration", () => {
  const rows: [string, Properties, Properties, string][] = [
    ["a move", at, { ...at, destination: "/fast" }, `vda: 2 layers, 96 MiB, from /slow/old to /fast, live: ${mirror}`],
    [
      "a guest that is suspended for a switch",
      { ...at, moves: { vda: seen("suspended") } },
      at,
      "vda: let the guest go on, which a switch has suspended",
    ],
    [
      "a persistent definition that names another file",
      { ...at, moves: { vda: seen("misdefined") } },
      at,
      "vda: make the persistent definition name the file that the guest runs on",
    ],
    [
      "a disk that is in a mirrored snapshot",
      { ...at, moves: { vda: seen("snapshotted") } },
      { ...at, verify: "full" },
      "vda: it is in a mirrored snapshot, which must end before the disk can move",
    ],
    [
      "an active layer alone",
      { ...at, moves: { vda: seen("settled", [layer("/slow/old")]) } },
      { ...at, destination: "/fast" },
      "vda: 1 layer, 64 MiB, from /slow/old to /fast, live: mirror the active one, switch, tidy",
    ],
    [
      "a layer elsewhere, which stays",
      { ...at, moves: { vda: seen("settled", [layer("/slow/old"), layer("/pool/base")]) } },
      { ...at, destination: "/fast" },
      "vda: 1 layer, 64 MiB, from /slow/old (/pool/base stays) to /fast, live: mirror the active one, switch, tidy",
    ],
    [
      "keepBase, which stays",
      at,
      { ...at, destination: "/fast", keepBase: "/slow/common" },
      "vda: 1 layer, 64 MiB, from /slow/old (/slow/common stays) to /fast, live: mirror the active one, switch, tidy",
    ],
    [
      "collapse pull, verified, the old image deleted",
      at,
      { ...at, destination: "/fast", ...byOverlay, collapse: "pull", verify: "full", afterwards: "delete" },
      "vda: 2 layers, 96 MiB, from /slow/old to /fast, live: freeze all under overlays at once, copy all layers, compare the copies with their sources, mirror the overlay, switch, pull the copy up into the overlay, tidy, delete the old active image",
    ],
    [
      "collapse none",
      at,
      { ...at, destination: "/fast", ...byOverlay, collapse: "none" },
      "vda: 2 layers, 96 MiB, from /slow/old to /fast, live: freeze all under overlays at once, copy all layers, mirror the overlay, switch, keep the overlay on top, tidy",
    ],
    [
      "a domain of libvirt's",
      { ...at, domain: { libvirt: "web" } },
      { ...at, domain: { libvirt: "web" }, destination: "/fast" },
      "vda: 2 layers, 96 MiB, from /slow/old to /fast, live: copy the lower layers that are not there yet, mirror the active one, switch while the guest is suspended, tidy",
    ],
    [
      "a disk that is there already",
      { ...twoDisks, moves: { vda: seen("idle"), vdb: seen("settled", [layer("/fast/b")]) } },
      { ...twoDisks, destination: "/fast" },
      `vda: 2 layers, 96 MiB, from /slow/old to /fast, live: ${mirror}`,
    ],
    [
      "a move that was begun and is wanted still",
      { ...at, moves: { vda: seen("mirroring") } },
      at,
      "vda: go on with the move to /slow that was begun",
    ],
    [
      "a move that was begun and is wanted no more",
      { ...at, destination: "/fast", moves: { vda: seen("copying") } },
      { ...at, destination: "/other" },
      `vda: first end the move to /fast that was begun: undone to the source's exact chain; vda: 2 layers, 96 MiB, from /slow/old to /other, live: ${mirror}`,
    ],
    [
      "a move that has switched and is wanted no more",
      { ...at, destination: "/fast", moves: { vda: seen("switched", [layer("/fast/old")]) } },
      { ...at, destination: "/other" },
      "vda: first end the move to /fast that was begun: it has switched, so it is finished; vda: 1 layer, 64 MiB, from /fast/old to /other, live: mirror the active one, switch, tidy",
    ],
    [
      "a disk that is taken in, and one that is let go",
      { ...at, moves: { vda: seen("settled") } },
      { ...at, disks: ["vdb"] },
      "vdb: all its layers to /slow, live: copy the lower layers that are not there yet, mirror the active one, switch, tidy; vda: no longer looked after; a move of it that was begun is ended",
    ],
    ...(
      [
        ["moving", "go on with the move to /slow that was begun"],
        ["switching", "end the switch of the move to /slow that was begun, on the side that `current` names, then go on"],
        ["cleaning-up", "finish the move to /slow that was begun: it has switched"],
        ["undoing", "a move of it was being undone: end that, and leave it in /slow"],
        ["needs-attention", "go on with the move to /slow that was begun, if what stopped it is no longer there"],
      ] as const
    ).map(([status, said]): [string, Properties, Properties, string] => [
      `a disk whose state says only that it is ${status}`,
      { ...at, moves: { vda: stands(status) } },
      at,
      `vda: ${said}`,
    ]),
    ...(
      [
        ["moving", "undone to the source's exact chain"],
        ["switching", "finished if `current` names the destination, else undone"],
        ["cleaning-up", "it has switched, so it is finished"],
        ["undoing", "undone to the source's exact chain"],
        ["needs-attention", "undone to the source's exact chain if it has not switched, else finished"],
      ] as const
    ).map(([status, said]): [string, Properties, Properties, string] => [
      `how a move ends that is ${status} and is wanted no more`,
      { ...twoDisks, declared: { destination: "/slow" }, destination: several, moves: { vda: stands(status), vdb: stands("settled") } },
      { ...twoDisks, destination: several, verify: "full" },
      `vda: end the move that was begun: ${said}`,
    ]),
    ["only how the next move goes", at, { ...at, verify: "full" }, ""],
    [
      "drift that is only reported",
      { ...at, onDrift: "report", moves: { vda: seen("idle") } },
      { ...at, onDrift: "report", verify: "full" },
      "",
    ],
    [
      "the way home of a disk that was moved by hand, after a refresh",
      { ...twoDisks, declared: { destination: "/slow" }, destination: several, moves: strayed },
      { ...twoDisks, destination: "/slow" },
      `vda: 1 layer, 64 MiB, from /other/old to /slow, live: mirror the active one, switch, tidy`,
    ],
    [
      "the other disk alone, where the program now names the place to which one was moved by hand",
      { ...twoDisks, declared: { destination: "/slow" }, destination: several, moves: strayed },
      { ...twoDisks, destination: "/other" },
      `vdb: 1 layer, 64 MiB, from /slow/b to /other, live: mirror the active one, switch, tidy`,
    ],
    [
      "no move of disks in several places that the engine hands back",
      { ...twoDisks, declared: { destination: "/slow" }, destination: several, moves: { ...strayed, vdb: seen("mirroring") } },
      { ...twoDisks, destination: several, verify: "full" },
      "vdb: end the move that was begun: undone to the source's exact chain",
    ],
    [
      "no move of a disk that is only reported from now on",
      { ...twoDisks, declared: { destination: "/slow" }, destination: several, moves: strayed },
      { ...twoDisks, destination: "/slow", onDrift: "report" },
      "",
    ],
    ["a destination that is not known yet", at, { ...at, destination: unknown }, ""],
    ["another guest", at, { ...at, domain: { qmp: "/run/vm/other.qmp" }, destination: "/fast" }, ""],
  ];
  for (const [what, before, now, expected] of rows) {
    it(`tells of ${what}`, () => assert.equal(plan(storageMigration, before, withoutState(now)), expected));
  }
});

describe("the plan of a DomainDisk", () => {
  const deep = [layer("/slow/top"), layer("/slow/middle"), layer("/slow/base")];
  const adopted = { disk: "vda", phase: "settled", chain: deep };
  const rows: [string, Properties, Properties, string][] = [
    [
      "a move and a pull in the chain as the move leaves it",
      adopted,
      { disk: "vda", storage: "/fast", base: "/fast/base" },
      `vda: 3 layers, 192 MiB, from /slow/top to /fast, live: ${mirror}\nvda: pull /fast/middle up into /fast/top, which then stands on /fast/base, live`,
    ],
    [
      "the way home of a disk that was moved by hand, after a refresh",
      { ...adopted, declared: { storage: "/home" }, storage: "/slow", phase: "idle" },
      { disk: "vda", storage: "/home" },
      `vda: 3 layers, 192 MiB, from /slow/top to /home, live: ${mirror}`,
    ],
    ["a storage in which it lies already", adopted, { disk: "vda", storage: "/slow" }, ""],
    [
      "a move that was begun and is declared no more",
      { ...adopted, storage: "/fast", phase: "copying" },
      { disk: "vda" },
      "vda: end the move that was begun: undone to the source's exact chain",
    ],
    [
      "a move that was begun before its destination was declared no more, and another one",
      { ...adopted, phase: "copying" },
      { disk: "vda", storage: "/fast" },
      `vda: first end the move that was begun: undone to the source's exact chain; vda: 3 layers, 192 MiB, from /slow/top to /fast, live: ${mirror}`,
    ],
    [
      "a pull that was begun, and no move",
      { ...adopted, storage: "/slow", base: "/slow/base", status: "moving" },
      { disk: "vda", storage: "/slow", base: "/slow/base" },
      "vda: pull /slow/middle up into /slow/top, which then stands on /slow/base, live",
    ],
    [
      "a pull that was begun and is declared no more",
      { ...adopted, base: "/slow/base", status: "moving" },
      { disk: "vda" },
      "vda: end the pull that was begun",
    ],
    ["a storage that is not known yet", adopted, { disk: "vda", storage: unknown }, ""],
    ["another disk", adopted, { disk: "vdb", storage: "/fast" }, ""],
  ];
  for (const [what, before, now, expected] of rows) {
    it(`tells of ${what}`, () => assert.equal(plan(domainDisk, before, now), expected));
  }
});

describe("the plan of a MirroredSnapshot", () => {
  const disks = [{ disk: "vda", file: "/slow/overlay", mirror: "/fast/new" }];
  const state = (name: string) => ({ states: { vda: { state: name, current: "/slow/overlay", chain: [] } } });
  const rows: [string, Properties, Properties, string][] = [
    [
      "a pivot on delete",
      { disks, ...state("ready") },
      { disks, onDelete: "pivot" },
      "vda: deleting it will compare the copies, then let the guest run on /fast/new, and rename /slow/overlay",
    ],
    [
      "an abort on delete",
      { disks, ...state("ready") },
      { disks, onDelete: "abort" },
      "vda: deleting it will drop /fast/new and leave the guest on /slow/overlay",
    ],
    [
      "no ending any more",
      { disks, onDelete: "abort", ...state("ready") },
      { disks },
      "vda: deleting it will be refused: onDelete names no ending",
    ],
    [
      "a mirror that is lost",
      { disks, ...state("lost") },
      { disks },
      "vda: empty /fast/new and mirror to it again; the guest stays on /slow/overlay",
    ],
    [
      "a snapshot that was begun",
      { disks, ...state("mirroring") },
      { disks },
      "vda: go on with what was begun, until every write goes to /slow/overlay and to /fast/new",
    ],
    ...(
      [
        ["settled", ""],
        ["elsewhere", "vda: take the snapshot, then mirror until every write goes to /slow/overlay and to /fast/new"],
        ["moving", "vda: go on with what was begun, until every write goes to /slow/overlay and to /fast/new"],
        ["switching", "vda: end the pivot that was begun, on the side that `current` names"],
        ["cleaning-up", "vda: finish the pivot: the guest runs on /fast/new"],
        ["needs-attention", "vda: go on until every write goes to /slow/overlay and to /fast/new, if what stopped it is no longer there"],
      ] as const
    ).map(([status, said]): [string, Properties, Properties, string] => [
      `a disk whose state says only that it is ${status}`,
      { disks, states: { vda: { status, current: "/slow/overlay", chain: [] } } },
      { disks },
      said,
    ]),
    ["nothing to do", { disks, ...state("ready") }, { disks }, ""],
  ];
  for (const [what, before, now, expected] of rows) {
    it(`tells of ${what}`, () => assert.equal(plan(mirroredSnapshot, before, now), expected));
  }
});

function withoutState({ moves: _, ...declared }: Properties): Properties {
  return declared;
}

/** Everything that a user can have got wrong is refused before the first byte: each reason by itself, and what is refused in words. */

import assert from "node:assert/strict";
import { mkdir, symlink } from "node:fs/promises";
import { isKind } from "../../../../provider/core/errors.js";
import { checkNextStep, checkSteps, checkSwitch } from "../../../../provider/flows/move/alone.js";
import type { Step } from "../../../../provider/flows/move/plan.js";
import { checkCollapse, checkUnderWay } from "../../../../provider/flows/move/steps/collapsible.js";
import { checkLink } from "../../../../provider/flows/move/steps/link.js";
import { checkActiveName, checkDestination, checkDevice, checkDisk } from "../../../../provider/flows/move/steps/preflight.js";
import { checkGuest } from "../../../../provider/flows/shared/others.js";
import { checkActiveFile, checkAlone, checkFeatures, checkRead } from "../../../../provider/flows/shared/preflight.js";
import type { SeenDisk } from "../../../../provider/flows/shared/site.js";
import type { Blocker, GuestView, ImageView } from "../../../../provider/hypervisor/hypervisor.js";
import { libvirtTraits } from "../../../../provider/hypervisor/libvirt/guest.js";
import { type Answers, emptyView } from "../noting-guest.js";
import { aJob, MoveScene } from "../scene.js";

const isUser = (words: RegExp) => (thrown: unknown) => isKind(thrown, "user") && words.test(thrown.message);

/** Passes without words, refuses with them. */
async function says(check: () => unknown, words: RegExp | undefined): Promise<void> {
  if (words === undefined) await check();
  else await assert.rejects(async () => check(), isUser(words));
}

let scene: MoveScene;
const opened = () => {
  beforeEach(async () => {
    scene = await MoveScene.open();
  });
  afterEach(() => scene[Symbol.asyncDispose]());
};

describe("a QEMU", () => {
  opened();
  it("that lacks what a move needs is refused with its names", async () => {
    await checkFeatures(scene.site().site, "vda");
    const { site } = scene.site({ missingFeatures: () => ["blockdev-reopen", "job-finalize"] });
    await assert.rejects(
      checkFeatures(site, "vda"),
      isUser(/Unable to move vda of web on here: its QEMU lacks blockdev-reopen, job-finalize\. Nothing was touched/),
    );
  });
});

describe("a disk that is to be moved", () => {
  opened();
  interface Row {
    title: string;
    image?: Partial<ImageView>;
    view?: Partial<GuestView>;
    options?: Record<string, unknown>;
    guest?: Answers;
    refused?: RegExp;
  }
  const snapshot = { strategy: "snapshot", restartDuringMove: "from-manifest" };
  const bitmaps = { dirtyBitmaps: ["a", "b"], persistentBitmaps: ["a", "b"] };
  const inMemory = { dirtyBitmaps: ["a", "b"], persistentBitmaps: ["a"] };
  const internal = { internalSnapshots: ["s"] };
  const rows: Row[] = [
    { title: "as it usually is" },
    { title: "that is read-only", image: { readOnly: true }, refused: /it is read-only/ },
    { title: "of which a header cannot be read", image: { unread: "denied" }, refused: /a header of its chain cannot be read \(denied\)/ },
    { title: "with dirty bitmaps", image: bitmaps, refused: /a mirror does not carry its dirty bitmaps \(a, b\)/ },
    { title: "with dirty bitmaps that may stay behind", image: bitmaps, options: { loses: ["bitmaps"] } },
    {
      title: "with dirty bitmaps of which only the snapshots may stay behind",
      image: bitmaps,
      options: { loses: ["internal-snapshots"] },
      refused: /dirty bitmaps/,
    },
    { title: "with internal snapshots", image: internal, refused: /a mirror does not carry its internal snapshots \(s\)/ },
    { title: "with internal snapshots that may stay behind", image: internal, options: { loses: ["internal-snapshots"] } },
    {
      title: "with internal snapshots of which only the bitmaps may stay behind",
      image: internal,
      options: { loses: ["bitmaps"] },
      refused: /internal snapshots/,
    },
    { title: "with persistent bitmaps by strategy snapshot, whose commit carries them", image: bitmaps, options: snapshot },
    {
      title: "with a bitmap in QEMU's memory by strategy snapshot",
      image: inMemory,
      options: snapshot,
      refused: /an image does not carry its dirty bitmaps \(b\)/,
    },
    { title: "with internal snapshots by strategy snapshot", image: internal, options: snapshot },
    {
      title: "with persistent bitmaps by a pull",
      image: bitmaps,
      options: { ...snapshot, collapse: "pull" },
      refused: /collapse "pull" does not carry its dirty bitmaps \(a, b\)/,
    },
    {
      title: "with internal snapshots where the overlay stays",
      image: internal,
      options: { ...snapshot, collapse: "none" },
      refused: /collapse "none" does not carry its internal snapshots/,
    },
    {
      title: "with persistent bitmaps through libvirt",
      image: bitmaps,
      options: snapshot,
      guest: { traits: libvirtTraits },
      refused: /a mirror does not carry its dirty bitmaps/,
    },
    {
      title: "on which somebody else's backup runs",
      view: {
        jobs: [{ ...aJob, id: "backup0", type: "backup" }],
        nodes: [{ name: "f", driver: "copy-before-write", file: "path1/disk.qcow2" }],
      },
      refused: /somebody else's job runs on it \(backup backup0\)/,
    },
    {
      title: "below which somebody else's commit runs",
      view: { jobs: [{ ...aJob, id: "commit0", type: "commit" }], nodes: [{ name: "f", driver: "commit_top", file: "path1/base.raw" }] },
      refused: /somebody else's job runs on it \(commit commit0\)/,
    },
    {
      title: "beside a job on another disk",
      view: { jobs: [{ ...aJob, id: "backup0" }], nodes: [{ name: "f", driver: "mirror_top", file: "path1/other" }] },
    },
    {
      title: "beside a job, with a node that is no job's filter",
      view: { jobs: [{ ...aJob, id: "backup0" }], nodes: [{ name: "f", driver: "throttle", file: "path1/disk.qcow2" }] },
    },
    {
      title: "beside a job, with a filter of our own",
      view: { jobs: [{ ...aJob, id: "backup0" }], nodes: [{ name: "lm-00000000-flt", driver: "mirror_top", file: "path1/disk.qcow2" }] },
    },
    { title: "with a job of our own", view: { jobs: [aJob], nodes: [{ name: "f", driver: "mirror_top", file: "path1/disk.qcow2" }] } },
  ];
  for (const { title, image, view, options, guest, refused } of rows)
    it(`${title} is ${refused ? "refused" : "taken"}`, async () => {
      const nodes = (view?.nodes ?? []).map((node) => ({ ...node, file: scene.at(node.file) }));
      const disk = scene.disk({ image: { ...scene.image(), ...image } });
      await says(() => checkDisk(scene.site(guest, options).site, { ...emptyView, ...view, nodes }, disk), refused);
    });

  it("is asked about strangers' jobs again before each job of ours", () => {
    const view = {
      ...emptyView,
      jobs: [{ ...aJob, id: "x" }],
      nodes: [{ name: "f", driver: "copy-on-read", file: scene.at("path1/base.raw") }],
    };
    assert.throws(() => checkAlone(view, scene.image(), (why) => new Error(why)), /somebody else's job/);
    checkAlone(emptyView, scene.image(), (why) => new Error(why));
    checkRead(scene.image(), (why) => new Error(why));
  });

  for (const [title, wait, format, options, refused] of [
    ["a raw image of a device that hands requests on, by strategy mirror", "in-qemu", "raw", {}, true],
    ["a qcow2 of such a device", "in-qemu", "qcow2", {}, false],
    ["a raw image of a device that leaves them in the guest", "in-guest", "raw", {}, false],
    ["a raw image of a device that hands requests on, by a commit", "in-qemu", "raw", snapshot, true],
    ["a raw image of such a device whose overlay stays", "in-qemu", "raw", { ...snapshot, collapse: "none" }, true],
  ] as const)
    it(`is ${refused ? "refused" : "taken"} as ${title}`, async () => {
      const disk = scene.disk({ image: scene.image([["path1/disk.qcow2", format]]) });
      await says(
        () => checkDevice(scene.site({ requestsOf: () => ({ wait, device: "nvme" }) }, options).site, disk),
        refused ? /a raw image of the device nvme, and QEMU ends when the guest writes to one in the switch/ : undefined,
      );
    });

  for (const [title, format, options, refused] of [
    ["raw by a pull", "raw", { ...snapshot, collapse: "pull" }, true],
    ["qcow2 by a pull", "qcow2", { ...snapshot, collapse: "pull" }, false],
    ["raw by a commit", "raw", snapshot, false],
    ["raw by strategy mirror", "raw", {}, false],
  ] as const)
    it(`is ${refused ? "refused" : "taken"} as ${title}`, async () => {
      const disk = scene.disk({ image: scene.image([["path1/disk.qcow2", format]]) });
      await says(() => checkCollapse(scene.site({}, options).site, disk), refused ? /a raw image cannot take up an overlay/ : undefined);
    });
});

describe("the file of a disk that is to be moved", () => {
  opened();
  const open = async (...names: string[]) => scene.site({ process: async () => scene.process(...names) }).site;

  it("is the one that QEMU has open", async () => {
    await checkActiveFile(await open("path1/disk.qcow2"), scene.disk());
  });

  it("is refused where QEMU has another one open, or where it is not there", async () => {
    await assert.rejects(
      checkActiveFile(await open("path1/base.raw"), scene.disk()),
      isUser(/path1\/disk\.qcow2 is not the file that QEMU has open/),
    );
    const disk = scene.disk({ active: { named: scene.at("path1/none"), directory: scene.at("path1") } });
    await assert.rejects(checkActiveFile(await open("path1/base.raw"), disk), isUser(/there is no such file for us/));
  });

  it("is refused where nobody holds it, as far as the host can tell", async () => {
    await assert.rejects(checkActiveFile(scene.site().site, scene.disk()), isUser(/is not the file that QEMU has open/));
  });

  it("is refused as a symbolic link, and with a name that leaves no room", async () => {
    const { site } = scene.site();
    await checkActiveName(site, scene.disk());
    await symlink("disk.qcow2", scene.at("path1/link"));
    await assert.rejects(
      checkActiveName(site, scene.disk({ active: { named: scene.at("path1/link"), directory: scene.at("path1") } })),
      isUser(/is a symbolic link to its image/),
    );
    const long = (bytes: number) =>
      scene.disk({
        image: scene.image([
          ["path1/disk.qcow2", "qcow2"],
          [`path1/${"é".repeat(bytes / 2)}`, "raw"],
        ]),
      });
    await checkActiveName(site, long(200));
    await assert.rejects(checkActiveName(site, long(202)), isUser(/has 202 bytes/));
  });
});

describe("the destination of a disk", () => {
  opened();
  const at = (destination: string) => ({ ...scene.site().site, destination: scene.at(destination) });

  it("is a directory, or leads to one, without a file of the disk's name", async () => {
    await checkDestination(at("path2"), scene.disk());
    await symlink(scene.at("path2"), scene.at("way"));
    await checkDestination(at("way"), scene.disk());
  });

  it("is refused where it is not there, leads nowhere, or is a file", async () => {
    await assert.rejects(checkDestination(at("none"), scene.disk()), isUser(/there is no directory .*none/));
    await symlink(scene.at("none"), scene.at("way"));
    await assert.rejects(checkDestination(at("way"), scene.disk()), isUser(/there is no directory .*way/));
    await assert.rejects(checkDestination(at("path1/base.raw"), scene.disk()), isUser(/Unable to look at|is not a directory/));
    await symlink(scene.at("path1/base.raw"), scene.at("file"));
    await assert.rejects(checkDestination(at("file"), scene.disk()), isUser(/Unable to look at|is not a directory/));
  });

  it("is refused where a file, or a link to nothing, has the disk's name", async () => {
    await symlink("nowhere", scene.at("path2/disk.qcow2"));
    await assert.rejects(checkDestination(at("path2"), scene.disk()), isUser(/path2\/disk\.qcow2 already exists and is not ours/));
  });
});

describe("a move that an older version began", () => {
  opened();
  const check = async (
    collapse: "commit" | "pull" | "none",
    { format = "qcow2", link = false, standing = "overlay" as SeenDisk["standing"] } = {},
  ) => {
    const manifest = await scene.frozen(collapse, link ? { link: { path: "/vm", before: "x" } } : {});
    manifest.destination.backing = { name: "disk.qcow2", format };
    checkUnderWay(scene.site().site, scene.written(manifest, { standing }));
  };

  it("goes on where a boot reads the disk at its end", async () => {
    await check("commit", { format: "raw", link: true });
    await check("pull");
    await check("none");
    await check("none", { link: true, standing: "target" });
    checkUnderWay(scene.site().site, scene.written(await scene.manifest()));
    checkUnderWay(scene.site().site, scene.disk());
  });

  it("is stopped where a raw image would have to take up an overlay, or has", async () => {
    await assert.rejects(check("pull", { format: "raw" }), isUser(/an older version began it, and a raw image cannot take up an overlay/));
    await assert.rejects(check("pull", { format: "raw", standing: "target" }), isUser(/is a qcow2 under the name of a raw image/));
  });

  it("is stopped where a boot through its link would find the frozen image", async () => {
    await assert.rejects(check("none", { link: true }), isUser(/a boot through the link \/vm would find the frozen image/));
  });
});

describe("the link of a guest's disks", () => {
  opened();
  const check = async ({
    link = "link",
    leadsTo = "path1",
    options = {},
    disks = [scene.disk()],
    view = {} as Partial<GuestView>,
  } = {}) => {
    if (leadsTo !== "") await symlink(scene.at(leadsTo), scene.at("link"));
    const { site } = scene.site({}, { link: scene.at(link), ...options });
    await checkLink(site, { ...emptyView, ...view }, disks);
  };
  const other = (directory: string): GuestView["disks"][number] => ({
    qdev: "vdb",
    names: ["vdb"],
    medium: { kind: "image", ...scene.image([[`${directory}/other`, "raw"]]) },
  });

  it("is asked about only where there is one, and disks", async () => {
    await checkLink(scene.site().site, emptyView, [scene.disk()]);
    await checkLink(scene.site({}, { link: "/none" }).site, emptyView, []);
  });

  it("leads to the disks' directory", () => check());

  it("is refused where it does not exist, or is none", async () => {
    await assert.rejects(check({ leadsTo: "" }), isUser(/the link .*link does not exist/));
    await assert.rejects(check({ link: "path1", leadsTo: "" }), isUser(/path1 is a directory and no symbolic link/));
  });

  it("is refused where it leads to a file, or nowhere", async () => {
    await assert.rejects(check({ leadsTo: "path1/disk.qcow2" }), isUser(/does not lead to a directory/));
    await scene.take("link");
    await assert.rejects(check({ leadsTo: "none" }), isUser(/does not lead to a directory/));
  });

  it("is refused where a disk lies elsewhere", async () => {
    await mkdir(scene.at("path3"));
    await assert.rejects(check({ leadsTo: "path3" }), isUser(/does not lead to .*path1, where vda lies/));
  });

  it("is refused where another disk of the guest is behind it and would stay", async () => {
    await assert.rejects(check({ view: { disks: [other("path1")] } }), isUser(/vdb lies behind the same link and would not move with it/));
  });

  it("is right where the other disks are elsewhere, move too, or have no image", async () => {
    await check({
      view: {
        disks: [
          other("path2"),
          { qdev: "vda", names: ["vda"], medium: { kind: "image", ...scene.image() } },
          { qdev: "cd", names: [], medium: { kind: "none" } },
        ],
      },
    });
  });

  it("may lead to the destination already, which is said", async () => {
    await check({ leadsTo: "path2", view: { disks: [other("path2")] } });
    assert.match(scene.told.join("\n"), /warning: .* leads to the destination, but vda runs on .*path1\/disk\.qcow2/);
  });

  it("keeps the old image only for a disk that was started through it, or that an earlier move has opened", async () => {
    const keep = { options: { afterwards: "keep" } };
    await assert.rejects(check(keep), isUser(/vda was not started through the link .* but by .*path1\/disk\.qcow2/));
    await scene.take("link");
    await check({ ...keep, disks: [scene.disk({ active: { named: `${scene.at("link")}//disk.qcow2`, directory: scene.at("path1") } })] });
    await scene.take("link");
    await check({ ...keep, disks: [scene.disk({ image: scene.image(undefined, "lm-00000000-tgt-a") })] });
  });
});

describe("before a step, whether the disk is this guest's alone", () => {
  opened();
  const guestBlocker: Blocker = { concerns: "guest", why: "it is migrating", advice: "Wait." };
  const sharing: Blocker = { concerns: "sharing", qdev: "vdb", why: "it is shared", advice: "Do not." };
  const asking = async (blockers: readonly Blocker[], step: Step, status = "running", check: "steps" | "next" = "steps") => {
    const { site, asked } = scene.site({ blockers: () => blockers });
    const disks = ["vda", "vdb"].map((disk) => scene.disk({ disk, qdev: disk }));
    const seen = { view: { ...emptyView, status }, disks };
    const refused = await (check === "steps" ? checkSteps(site, seen, [step]) : checkNextStep(site, seen, step)).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    return { asked, said: refused instanceof Error ? refused.message : "" };
  };
  const both = ["vda", "vdb"];

  for (const step of [
    { step: "freeze", disks: both },
    { step: "start-mirror", disk: "vda" },
    { step: "collapse", disk: "vda" },
    { step: "fold", disk: "vda" },
  ] as Step[])
    it(`is asked before ${step.step}, and before the next one in its row`, async () => {
      const disks = "disks" in step ? step.disks : ["vda"];
      for (const check of ["steps", "next"] as const) {
        const { asked, said } = await asking([guestBlocker], step, "running", check);
        assert.deepEqual(asked, [`blockers ${JSON.stringify(disks)}`]);
        assert.match(
          said,
          /it is migrating\. The guest's disk stays on .*path1\/disk\.qcow2, which is current; what was copied is kept\. Wait\./,
        );
        assert.match(said, step.step === "fold" ? /^Unable to undo the move of/ : /^Unable to go on with the move of/);
      }
    });

  for (const step of [
    { step: "let-go", disks: both },
    { step: "cancel", disks: both },
    { step: "dismiss", disk: "vda" },
    { step: "set-back", disk: "vda" },
    { step: "tidy", disk: "vda" },
    { step: "wait", disks: both },
    { step: "copy", disk: "vda" },
    { step: "pivot", disks: both },
  ] as Step[])
    it(`is not asked before ${step.step}`, async () => {
      assert.deepEqual((await asking([guestBlocker], step)).asked, []);
      assert.deepEqual((await asking([guestBlocker], step, "running", "next")).asked, []);
    });

  it("is asked before a wait only where the guest has left this QEMU, and of this guest alone", async () => {
    assert.match((await asking([guestBlocker], { step: "wait", disks: both }, "postmigrate")).said, /it is migrating/);
    assert.deepEqual((await asking([], { step: "copy", disk: "vda" } as Step, "postmigrate")).asked, []);
  });

  it("forbids by a shared device to begin or to pivot, and neither the end nor the way back", async () => {
    assert.match((await asking([sharing], { step: "freeze", disks: both })).said, /move of vdb of web on here: it is shared/);
    for (const step of ["collapse", "fold"] as const)
      assert.equal((await asking([sharing], { step, disk: "vda" }, "running", "next")).said, "");
    const { site } = scene.site({ blockers: () => [sharing] });
    await assert.rejects(checkSwitch(site, [scene.disk()], "move"), isUser(/it is shared/));
    for (const way of ["finish", "undo"] as const) await checkSwitch(site, [scene.disk()], way);
  });

  it("is refused by what concerns the guest also where the way is back, in the first disk's name", async () => {
    const refuse = ({ disk }: { disk: string }, why: string) => new Error(`${disk}: ${why}`);
    const { site } = scene.site({ blockers: () => [sharing, guestBlocker] });
    await assert.rejects(checkGuest(site, [scene.disk()], { refuse, sharing: "allowed" }), /vda: it is migrating/);
    await assert.rejects(
      checkGuest(site, [scene.disk(), scene.disk({ disk: "other", qdev: "vdb" })], { refuse, sharing: "refused" }),
      /other: it is shared/,
    );
    await checkGuest(site, [], { refuse, sharing: "refused" });
  });
});

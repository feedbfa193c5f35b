/** A pull on the model of a guest: what lies between the active image and the declared base goes up, or is left as it is. */

import assert from "node:assert/strict";
import { fileNames } from "../../provider/core/disk/names.js";
import { isKind, UserError } from "../../provider/core/errors.js";
import { withPlacesLocked } from "../../provider/flows/move/locked.js";
import { isPulling, settleBase } from "../../provider/flows/pull/flow.js";
import { pullStatus } from "../../provider/flows/pull/observe.js";
import type { PullOptions } from "../../provider/hypervisor/hypervisor.js";
import { libvirtTraits } from "../../provider/hypervisor/libvirt/guest.js";
import { lostAt } from "./lost-connection.js";
import { makeQcow2 } from "./model-guest.js";
import { keyOf, type ModelScene, modelScene } from "./model-scene.js";
import type { Answers } from "./move/noting-guest.js";

let here: ModelScene;

const names = (...paths: string[]) => paths.map((each) => here.scene.at(each));
const refused = (pattern: RegExp) => (thrown: unknown) => isKind(thrown, "user") && pattern.test(thrown.message);
const base = () => here.scene.at("path1/base.raw");
const long = () => names("path1/top.qcow2", "path1/disk.qcow2", "path1/base.raw");
const short = () => names("path1/top.qcow2", "path1/base.raw");

/** `destination` is none of a pull's. */
function pull(answers: Answers = {}, options: Record<string, unknown> = {}, declared: string | undefined = base()): Promise<void> {
  const { destination: _, ...site } = here.site(answers, options);
  return settleBase(site, { disk: "vda", base: declared }, withPlacesLocked);
}

const leave = async () => {
  const { destination: _, ...site } = here.site();
  await settleBase(site, { disk: "vda", base: undefined }, withPlacesLocked);
};

const changes = () => here.model.done.filter((line) => !line.startsWith("close"));

describe("a pull", () => {
  beforeEach(async () => {
    here = await modelScene();
    makeQcow2(here.scene.at("path1/top.qcow2"), { name: "disk.qcow2", format: "qcow2" });
    here.model.restart({ vda: here.scene.at("path1/top.qcow2") });
  });
  afterEach(() => here.scene[Symbol.asyncDispose]());

  it("brings the declared layer right below the active image, which names it relatively as before", async () => {
    const asked: unknown[] = [];
    const startPull = here.model.answers().startPull as (...args: unknown[]) => unknown;
    await pull({ startPull: (...args: unknown[]) => [asked.push(args[2]), startPull(...args)] }, { maxBytesPerSecond: 5 });
    assert.deepEqual(here.model.chain("vda"), short());
    const { base: node, ...more } = asked[0] as { base: string };
    assert.deepEqual(more, { top: "vda-again", backingName: "base.raw", maxBytesPerSecond: 5 });
    assert.match(node, /^#block/);
    assert.deepEqual(here.model.jobs, []);
    assert.match(
      here.scene.told.join("\n"),
      /info: vda: pulling .*path1\/disk\.qcow2 up into .*path1\/top\.qcow2, which then stands on .*path1\/base\.raw/,
    );
  });

  it("to what is right below already does nothing", async () => {
    await pull({}, {}, here.scene.at("path1/disk.qcow2"));
    assert.deepEqual(here.model.done, []);
  });

  it("closes a node that somebody had named, once it is let go", async () => {
    here.model.call("path1/disk.qcow2", "named");
    await pull();
    assert.deepEqual([here.model.chain("vda"), here.model.named], [short(), ["vda-again"]]);
  });

  for (const [what, declared, why] of [
    ["the active image", "path1/top.qcow2", /base .*path1\/top\.qcow2 is its active image\..*no write is lost.*Correct `base`/],
    [
      "no layer of the chain",
      "path1/none",
      /base .*path1\/none is not a layer of its chain \(.*top\.qcow2 ← .*disk\.qcow2 ← .*base\.raw\)/,
    ],
  ] as const)
    it(`to ${what} is refused`, async () => {
      await assert.rejects(pull({}, {}, here.scene.at(declared)), refused(why));
      assert.deepEqual(here.model.done, []);
    });

  it("that was cut goes on in the next run", async () => {
    await assert.rejects(pull(lostAt(here.model, "startPull", "after")), /the connection was lost/);
    const { destination: _, ...site } = here.site();
    assert.deepEqual([await isPulling(site, "vda"), await pullStatus(site, "vda", base())], [true, "moving"]);
    await pull();
    assert.deepEqual(here.model.chain("vda"), short());
    assert.deepEqual([await isPulling(site, "vda"), await pullStatus(site, "vda", base())], [false, "settled"]);
    assert.equal(changes().filter((line) => line.startsWith("startPull")).length, 1);
  });

  it("that is not begun is shown as elsewhere, and one that cannot be as what needs attention", async () => {
    const { destination: _, ...site } = here.site();
    const shown = (declared: string | undefined) => pullStatus(site, "vda", declared);
    assert.deepEqual([await shown(base()), await shown(here.scene.at("path1/disk.qcow2"))], ["elsewhere", "settled"]);
    assert.deepEqual([await shown(here.scene.at("path1/none")), await shown(undefined)], ["needs-attention", "settled"]);
  });

  for (const status of ["running", "pending"] as const)
    it(`that is ${status} is cancelled where no base is declared any more`, async () => {
      await assert.rejects(pull(lostAt(here.model, "startPull", "after")), /the connection was lost/);
      Object.assign(here.model.jobs[0] ?? {}, { status });
      await leave();
      assert.deepEqual([here.model.chain("vda"), here.model.jobs], [long(), []]);
    });

  it("is not begun where no base is declared", async () => {
    await leave();
    assert.deepEqual(here.model.done, []);
  });

  it("goes on once after its storage was full, and says so the second time", async () => {
    const { wakeUp } = here.model.answers() as { wakeUp: () => void };
    let full = 2;
    const stalling = () => {
      wakeUp();
      for (const job of here.model.jobs) if (full-- > 0) Object.assign(job, { status: "paused", ioStatus: "nospace" });
    };
    await assert.rejects(
      pull({ wakeUp: stalling }),
      refused(/path1 is full: how much is still to be written is not known, .* are free.*it goes on where it stopped/),
    );
    assert.equal(changes().filter((line) => line.startsWith("resume")).length, 1);
  });

  it("that ends by itself is told, and not begun again in the same run", async () => {
    const wakeUp = () => void here.model.jobs.splice(0);
    await assert.rejects(pull({ wakeUp }), refused(/the pull ended before .*path1\/top\.qcow2 stood on the declared layer/));
    assert.equal(changes().filter((line) => line.startsWith("startPull")).length, 1);
  });

  it("takes no step once the run is asked to stop", async () => {
    const { destination: _, ...site } = here.site();
    const run = { ...site.run, stop: AbortSignal.abort() };
    await assert.rejects(
      settleBase({ ...site, run }, { disk: "vda", base: base() }, withPlacesLocked),
      refused(/Stopped as asked.*vda on .*path1\/top\.qcow2.*`pulumi destroy`/),
    );
    assert.deepEqual(changes(), []);
  });

  describe("is refused", () => {
    const with_ = (change: (view: { disks: { medium: object }[]; nodes: object[] }) => object): Answers => {
      const { look } = here.model.answers() as { look: () => { disks: { medium: object }[]; nodes: object[] } };
      return { look: () => change(look()) };
    };
    const image = (more: object): Answers =>
      with_((view) => ({ ...view, disks: view.disks.map((disk) => ({ ...disk, medium: { ...disk.medium, ...more } })) }));
    const untouched = () => assert.deepEqual([here.model.chain("vda"), changes()], [long(), []]);

    it("into a read-only image, and one whose headers were not read", async () => {
      await assert.rejects(pull(image({ readOnly: true })), refused(/it is read-only/));
      await assert.rejects(
        pull(image({ unread: "Permission denied" })),
        refused(/a header of its chain cannot be read \(Permission denied\)/),
      );
      untouched();
    });

    it("while somebody else's job runs on it", async () => {
      const job = { id: "backup", type: "backup", status: "running", ioStatus: "ok" };
      const filter = { name: "theirs", driver: "copy-before-write", file: here.scene.at("path1/top.qcow2") };
      const theirs = with_((view) => ({ ...view, jobs: [job], nodes: [...view.nodes, filter] }));
      await assert.rejects(pull(theirs), refused(/somebody else's job runs on it \(backup backup\)/));
      untouched();
    });

    it("while the guest migrates", async () => {
      const blockers = () => [{ concerns: "guest", why: "it migrates", advice: "Wait." }];
      await assert.rejects(pull({ blockers }), refused(/it migrates/));
      untouched();
    });

    it("where a layer's name leads to another file than QEMU has open, and nothing is concluded where that is not to be seen", async () => {
      await here.scene.move("path1/base.raw", "path1/away");
      await here.scene.write("path1/base.raw", "base".padEnd(2 ** 20));
      await assert.rejects(pull(), refused(/path1\/base\.raw is another file than the one that QEMU has open under that name/));
      untouched();
      await pull({ process: () => undefined });
    });

    it("where what is pulled up may not fit", async () => {
      const { look } = here.model.answers() as { look: () => { disks: { medium: { chain: object[] } }[] } };
      const chain = look().disks[0]?.medium.chain.map((layer, index) => ({ ...layer, allocatedBytes: index === 1 ? 2 ** 60 : 1 }));
      await assert.rejects(pull(image({ chain })), refused(/path1 has .* free, .* may be needed/));
      untouched();
    });

    it("where a mirrored snapshot of the disk lasts", async () => {
      await here.scene.write(`path1/${fileNames.manifest(keyOf("vda"))}`, '{ "kind": "mirrored-snapshot", ');
      await assert.rejects(pull(), refused(/mirrored snapshot/));
      untouched();
    });

    it("where its base is open twice, and QEMU does not tell which node it is", async () => {
      const { lookAtChains } = here.model.answers() as { lookAtChains: () => { nodes: { file: string }[] } };
      const twice = () => {
        const view = lookAtChains();
        return { ...view, nodes: [...view.nodes, ...view.nodes.filter(({ file }) => file === base())] };
      };
      await assert.rejects(
        pull({ lookAtChains: twice, layerNodes: () => ["vda-again"] }),
        refused(/QEMU does not tell which of its nodes .*path1\/base\.raw is/),
      );
      untouched();
    });
  });

  describe("of a guest that libvirt manages", () => {
    const noBurdens = { snapshots: [], checkpoints: [], jobs: [], forbids: [] };
    /** Its own pull is done as soon as it is begun. */
    const libvirt = (more: Answers = {}, named = "as-asked"): Answers => {
      const { look } = here.model.answers() as { look: () => unknown };
      return {
        traits: libvirtTraits,
        lookForPull: () => look(),
        pull: (_: object, { base: layer }: PullOptions) => {
          here.model.pullTo("vda", layer?.path ?? "");
          return named;
        },
        ...more,
      };
    };

    it("is libvirt's own, down to the layer as libvirt names it", async () => {
      const asked: PullOptions[] = [];
      const { pull: own } = libvirt() as { pull: (disk: object, options: PullOptions) => unknown };
      await pull(libvirt({ pull: (disk: object, options: PullOptions) => [asked.push(options), own(disk, options)][1] }), {
        maxBytesPerSecond: 9,
      });
      assert.deepEqual(here.model.chain("vda"), short());
      assert.deepEqual(
        asked.map(({ base: layer, maxBytesPerSecond }) => [layer, maxBytesPerSecond]),
        [[{ depth: 2, path: base() }, 9]],
      );
      assert(!here.scene.told.some((line) => line.includes("full path")));
    });

    it("tells where libvirt keeps no relative name", async () => {
      await pull(libvirt({}, "absolute"));
      assert.match(here.scene.told.join("\n"), /info: vda: its image then names .*path1\/base\.raw by its full path/);
    });

    it("that libvirt refuses is told with its words", async () => {
      await assert.rejects(
        pull(libvirt({ pull: () => Promise.reject(new UserError("busy")) })),
        refused(/Unable to pull up the layers of vda.*busy/),
      );
    });

    for (const [what, burdens, why] of [
      ["a job", { jobs: ["Block Copy"] }, /somebody else's job runs on it \(Block Copy\)/],
      ["snapshots", { snapshots: ["s"] }, /its domain has snapshots \(s\), which name its layers/],
      ["checkpoints", { checkpoints: ["c"] }, /its domain has checkpoints \(c\)/],
      ["what libvirt forbids", { forbids: ["it is transient"] }, /it is transient/],
    ] as const)
      it(`is refused for ${what}`, async () => {
        await assert.rejects(pull(libvirt({ burdens: () => ({ ...noBurdens, ...burdens }), pull: assert.fail })), refused(why));
      });

    it("is refused where its domain is shut off", async () => {
      const { look } = here.model.answers() as { look: () => object };
      const off = () => ({ ...look(), status: "shut off" });
      await assert.rejects(pull({ ...libvirt({ lookForPull: off }), look: off }), refused(/its domain is shut off/));
    });
  });
});

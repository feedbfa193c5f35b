/** A guest whose link lies in a file system of its own, which takes no more changes in the middle of a switch. */

import assert from "node:assert/strict";
import { readdir, readlink, realpath, symlink } from "node:fs/promises";
import { Unfinished } from "../../provider/core/lifecycle.js";
import { oneLayer } from "../sandbox/disks.js";
import { mountSmall, type SmallFileSystem } from "../sandbox/file-systems.js";
import { Stage } from "../storage-migration/stage.js";
import { image, SlowSwitch } from "./slow-switch.js";

export class LinkScene implements AsyncDisposable {
  private constructor(
    readonly slow: SlowSwitch,
    readonly storage: SmallFileSystem,
  ) {}

  static async set(kind: "ext4" | "xfs"): Promise<LinkScene> {
    let storage: SmallFileSystem | undefined;
    const stage = await Stage.open({
      disks: async (at, sandbox) => {
        storage = await mountSmall(sandbox, at("links"), { kind, sizeMiB: kind === "xfs" ? 300 : 16 });
        await symlink(at("path1"), at("links", "disks"));
        return [{ storage: at("path1"), through: at("links", "disks"), layers: oneLayer(image) }];
      },
    });
    assert(storage);
    return new LinkScene(await SlowSwitch.of(stage, stage.at("links", "disks")), storage);
  }

  get link(): string {
    return this.slow.stage.at("links", "disks");
  }

  async isRepointed(): Promise<true | undefined> {
    return (await readlink(this.link)) === this.slow.stage.at("path2") ? true : undefined;
  }

  /** A run that the file system's end has stopped. @returns what it says */
  async fails(run: Promise<unknown>): Promise<string> {
    const thrown: unknown = await run.catch((reason: unknown) => reason);
    await this.slow.atFullSpeed();
    assert(thrown instanceof Unfinished, `it was not stopped: ${thrown instanceof Error ? thrown.stack : JSON.stringify(thrown)}`);
    if (process.env.SHOW_MESSAGES) console.log(`        > ${thrown.message}`);
    return thrown.message;
  }

  /** The guest writes on there, and the manifests and the link say so. */
  async isAt(side: "path1" | "path2"): Promise<void> {
    const { stage } = this.slow;
    await stage.guest.waitForRecords(5);
    const current = stage.at(side, image);
    assert.deepEqual(await this.slow.currents(), [current]);
    assert.equal(await realpath(await stage.operator.activeImage("vda")), current);
    assert.equal(await readlink(this.link), stage.at(side));
  }

  async endsWell(): Promise<void> {
    const { stage } = this.slow;
    const { vda } = await this.slow.moves();
    assert.equal(vda?.phase, "settled");
    assert.equal(await readlink(this.link), stage.at("path2"));
    for (const side of ["path1", "path2", "links"])
      assert.deepEqual(
        (await readdir(stage.at(side))).filter((name) => name.startsWith("lm-") || name.startsWith("disks.")),
        [],
      );
    await stage.reboot();
    await stage.guest.waitForRecords(5);
    await stage.guest.stop();
    await stage.holdsAll(stage.at("path2", image));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.slow[Symbol.asyncDispose]();
  }
}

export interface Strike {
  how: string;
  kind: "ext4" | "xfs";
  /** What the run says of it. */
  why: string;
  strike(storage: SmallFileSystem): Promise<void>;
}

/** Struck while the job is pending: the guest stays where it was, and goes on. */
export function staysWhereItWas({ how, kind, why, strike }: Strike): void {
  it(`as it ${how} before the link is re-pointed, leaves the guest where it was, and the next up moves it`, async () => {
    await using scene = await LinkScene.set(kind);
    scene.slow.atPending(() => strike(scene.storage));
    const message = await scene.fails(scene.slow.moves());
    assert.match(message, new RegExp(`Unable to switch vda of .*: ${why} .* The guest goes on writing to .*path1/${image}`));
    await scene.slow.stage.guest.waitForRecords(5);
    await scene.storage.mountAnew();
    await scene.isAt("path1");
    await scene.endsWell();
  });
}

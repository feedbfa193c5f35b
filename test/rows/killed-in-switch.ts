/** A move whose program on the host is killed in the middle of its slow switch, with QEMU or alone: what holds at every place. */

import assert from "node:assert/strict";
import { lstatSync } from "node:fs";
import { readdir, realpath } from "node:fs/promises";
import { until } from "../sandbox/command.js";
import { image, SlowSwitch } from "./slow-switch.js";

export interface Place {
  title: string;
  through: "link" | "name";
  /** @default "qcow2" */
  format?: "raw";
  /** Which side is current there. */
  side: "path1" | "path2";
  isThere: (scene: SlowSwitch) => boolean | Promise<boolean>;
}

export const isWritten = (scene: SlowSwitch) => scene.isWrittenDown();
/** Its old name leads to nothing, or to the empty file that stands in for a raw image. */
export const isRenamed = ({ stage }: SlowSwitch) => !lstatSync(stage.at("path1", image), { throwIfNoEntry: false })?.isFile();
export const isRecorded = async ({ stage }: SlowSwitch) => (await readdir(stage.at("path1"))).some((name) => name.endsWith(".switch.json"));

/** A move that has come to the place, and how its run ends. */
async function moveTo({ isThere }: Place, scene: SlowSwitch): Promise<{ over: Promise<unknown> }> {
  scene.slowFromPending();
  const over: Promise<unknown> = scene.moves().catch((thrown: unknown) => thrown);
  let isOver = false;
  over.finally(() => {
    isOver = true;
  });
  const isReached = async () => ((await isThere(scene)) ? "there" : isOver ? "over" : undefined);
  assert.equal(await until(120, isReached, () => "The switch did not come there."), "there");
  return { over };
}

async function endsWell({ stage, ...scene }: Pick<SlowSwitch, "stage"> & { moves: SlowSwitch["moves"] }): Promise<void> {
  const { vda } = await scene.moves();
  assert.equal(vda?.phase, "settled");
  await stage.guest.waitForRecords(5);
  for (const side of ["path1", "path2"])
    assert.deepEqual(
      (await readdir(stage.at(side))).filter((name) => name.startsWith("lm-")),
      [],
    );
  await stage.guest.stop();
  await stage.holdsAll(stage.at("path2", image));
}

export function killedIn(places: readonly Place[]): void {
  for (const place of places) {
    const where = `${place.title}, through its ${place.through},`;

    it(`${where} together with QEMU has one current image, from which the guest starts, and is ended by the next up`, async () => {
      await using scene = await SlowSwitch.set(place.through, place.format);
      const { stage } = scene;
      const { over } = await moveTo(place, scene);
      await scene.cutPower();
      const thrown = await over;
      await scene.atFullSpeed();
      const current = stage.at(place.side, image);
      assert.deepEqual(await scene.currents(), [current]);
      if (place.side === "path1" && isRenamed(scene)) {
        const silent: unknown = await scene.movesOn(thrown).catch((reason: unknown) => reason);
        assert.match(String(silent), new RegExp(`It ended in a switch, which is ended now: current: vda at ${current}`));
      }
      await stage.boot(place.through === "link" || place.side === "path1" ? {} : { vda: current });
      assert.equal(await realpath(await stage.operator.activeImage("vda")), current);
      await stage.guest.waitForRecords(5);
      await endsWell({ stage, moves: () => scene.moves() });
    });

    it(`${where} alone leaves a guest that waits, which the next up lets go on`, async () => {
      await using scene = await SlowSwitch.set(place.through, place.format);
      const { over } = await moveTo(place, scene);
      await scene.killProgram();
      await over;
      await scene.atFullSpeed();
      assert.deepEqual(await scene.currents(), [scene.stage.at(place.side, image)]);
      await endsWell({ stage: scene.stage, moves: () => scene.moves() });
    });
  }
}

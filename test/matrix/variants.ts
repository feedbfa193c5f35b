/** Every way to move a disk: strategy, collapse, copy mode, and one disk or three; a line of figures for each. */

import assert from "node:assert/strict";
import { chosenReleases, type QemuRelease, qemuVersion } from "../sandbox/qemu.js";
import { Course, type Figures } from "./course.js";

export interface Variant {
  strategy: "mirror" | "snapshot";
  collapse?: "commit" | "pull" | "none";
  copyMode: "background" | "write-blocking";
  disks: 1 | 3;
}

const ways: readonly Pick<Variant, "strategy" | "collapse">[] = [
  { strategy: "mirror" },
  { strategy: "snapshot", collapse: "commit" },
  { strategy: "snapshot", collapse: "pull" },
  { strategy: "snapshot", collapse: "none" },
];

/** On each QEMU that was chosen. */
export function describeMoves(copyMode: Variant["copyMode"]): void {
  for (const release of chosenReleases()) {
    for (const disks of [1, 3] as const) describeCourse(release, { copyMode, disks });
  }
}

function describeCourse(release: QemuRelease, { copyMode, disks }: Pick<Variant, "copyMode" | "disks">): void {
  const name = release === "host" ? "this machine's QEMU" : "Debian trixie's QEMU";
  describe(`a guest with ${disks === 1 ? "one disk" : "three disks"} on ${name}, moved with copy mode ${copyMode}`, function () {
    this.timeout(300_000);
    let version = "";
    before(async () => {
      version = await qemuVersion(release);
    });

    for (const way of ways) {
      it(`by ${nameOf(way)} loses nothing and keeps its names`, async () => {
        await using course = await Course.open(release, disks);
        const variant = { ...way, copyMode, disks };
        const figures = await course.move(variant);
        console.log(lineOf(version, variant, figures));
        assert.deepEqual([figures.lost, figures.corrupt], [0, 0]);
      });
    }
  });
}

function nameOf({ strategy, collapse }: Pick<Variant, "strategy" | "collapse">): string {
  return collapse === undefined ? strategy : `${strategy} and ${collapse}`;
}

function lineOf(version: string, { strategy, collapse, copyMode, disks }: Variant, figures: Figures): string {
  const { acknowledged, lost, corrupt, pauseMs } = figures;
  const way = `${strategy.padEnd(8)} | ${(collapse ?? "-").padEnd(6)} | ${copyMode.padEnd(14)} | ${disks}`;
  const found = `${String(acknowledged).padStart(4)} acknowledged | ${lost} lost | ${corrupt} corrupt | pauseMs ${pauseMs.toFixed(1)}`;
  return `      QEMU ${version.padEnd(7)} | ${way} | ${found}`;
}

/** Parts of a view that a test expects to be there. */

import assert from "node:assert/strict";
import type { DiskView, GuestView } from "../../../provider/hypervisor/hypervisor.js";

export function diskOf(view: Pick<GuestView, "disks">, name: string): DiskView {
  const found = view.disks.find((disk) => disk.names.includes(name));
  assert.ok(found, `no disk ${name} among ${view.disks.map((disk) => disk.names.join(", ")).join("; ")}`);
  return found;
}

export function imageOf(view: Pick<GuestView, "disks">, name: string) {
  const { medium } = diskOf(view, name);
  assert.ok(medium.kind === "image", JSON.stringify(medium));
  return medium;
}

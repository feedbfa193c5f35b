/** What one look at a guest without a QEMU has shown. */

import type { Job } from "../../../../provider/core/disk/job.js";
import type { Evidence } from "../../../../provider/flows/move/look/standing.js";
import type { GuestProcess } from "../../../../provider/hypervisor/hypervisor.js";
import { libvirtTraits } from "../../../../provider/hypervisor/libvirt/guest.js";
import type { Manifest } from "../../../../provider/journal/manifest.js";
import type { Records } from "../../../../provider/journal/records.js";
import { key, type MoveScene } from "../scene.js";

export interface Shown {
  /** The active image, as QEMU names it. @default "path1/disk.qcow2" */
  on?: string;
  format?: string;
  /** Below the active image. */
  below?: readonly (readonly [string, string])[];
  /** The active node. @default "vda-old" */
  node?: string;
  /** Nodes that are open beside it. */
  beside?: readonly string[];
  jobs?: readonly Job[];
  /** @default unknown */
  process?: GuestProcess;
  sides?: Records["sides"];
  further?: Manifest;
  managed?: boolean;
  verify?: "none" | "full";
}

export function evidenceOf(scene: MoveScene, manifest: Manifest, shown: Shown = {}): Evidence {
  const { on = "path1/disk.qcow2", format = "qcow2", below = [], node = "vda-old", beside = [], jobs = [] } = shown;
  const { site } = scene.site(shown.managed ? { traits: libvirtTraits } : {}, { verify: shown.verify ?? "none" });
  return {
    site,
    view: {
      domainId: "domain",
      status: "running",
      disks: [],
      jobs,
      nodes: [node, ...beside].map((name) => ({ name, driver: "qcow2", file: "" })),
    },
    process: async () => shown.process,
    image: scene.image([[on, format], ...below], node),
    ...{ named: scene.at(on), key },
    records: { manifest, sides: shown.sides ?? "both", ...(shown.further && { further: shown.further }) },
  };
}

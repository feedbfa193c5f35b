/** The snapshot as libvirt's XML would say it, with the proposal's `<mirror>`. */

import { escaped } from "../../core/xml-text.js";

export interface SnapshotDisk {
  disk: string;
  /** The overlay that takes the guest's writes. */
  file: string;
  /** Where every one of them goes too. */
  mirror: string;
  /** The format of both. */
  driver: string;
}

/** `<domainsnapshot>` with one `<disk>` for each disk, in the order given. */
export function snapshotXml(disks: readonly SnapshotDisk[]): string {
  const lines = disks.flatMap(({ disk, file, mirror, driver }) => [
    `    <disk name='${escaped(disk)}' snapshot='external'>`,
    `      <driver type='${escaped(driver)}'/>`,
    `      <source file='${escaped(file)}'/>`,
    `      <mirror file='${escaped(mirror)}'/>`,
    "    </disk>",
  ]);
  return ["<domainsnapshot>", "  <disks>", ...lines, "  </disks>", "</domainsnapshot>", ""].join("\n");
}

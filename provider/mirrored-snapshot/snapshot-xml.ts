/** The snapshot as libvirt's XML would say it, with the proposal's `<mirror>`. */

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

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&apos;", '"': "&quot;" };

/** Line breaks and tabs as numbers: a parser makes spaces of them in an attribute. */
function escaped(text: string): string {
  return text.replace(/[&<>'"\t\n\r]/g, (character) => entities[character] ?? `&#${character.charCodeAt(0)};`);
}

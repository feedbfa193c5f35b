/** What must never be told to virsh. */

/**
 * One sentence for each command that loses data (decisions/0004 and 0002) or a guest (look.ts: what makes libvirt ask for block nodes).
 * @param standOnNothing disks whose images have no backing file: a pull of all that a snapshot has put below them has no base to name
 */
export function unsafeIn(commands: readonly string[], standOnNothing: readonly string[] = []): string[] {
  return commands.flatMap((command) => {
    const says = (...options: string[]) => options.every((option) => command.includes(option));
    if (says("blockcopy", "--reuse-external")) return [`the target's backing would be opened at the pivot only: ${command}`];
    if (says("blockcommit") && !says("--base")) return [`it would flatten into the shared base: ${command}`];
    if (says("domstats", "--block") || says("domblkinfo")) return [`it ends QEMU 7.2 where a pull has just ended: ${command}`];
    const bottom = standOnNothing.some((disk) => says(`'${disk}'`));
    if (says("blockpull") && !says("--base") && !bottom) return [`it would pull the shared base up: ${command}`];
    return [];
  });
}

/** The part of QEMU's command line that makes the machine around the disks. */

import path from "node:path";

export interface MachineOptions {
  /** Holds sockets and logs. */
  folder: string;
  kernel: string;
  initramfs: string;
  /** The kernel's command line. */
  append: string;
  /** Arguments for the disks, which come before what stands on other buses. */
  disks: readonly string[];
  emptyDrive?: string | undefined;
}

export function machineArguments({ folder, kernel, initramfs, append, disks, emptyDrive }: MachineOptions): string[] {
  // strict: SeaBIOS leaves disks alone that nothing is booted from; else it starts the queues of virtio devices, and whatever lies over them once
  // the kernel runs is loaded with the RAM as their state: "VQ 0 size 0x100 < last_avail_idx" (virtio_load, 7.2)
  const inFolder = (name: string) => path.join(folder, name).replaceAll(",", ",,");
  return [
    ...["-M", "q35,accel=tcg", "-m", "256", "-nodefaults", "-display", "none", "-no-reboot", "-boot", "strict=on"],
    ...["-kernel", kernel, "-initrd", initramfs, "-append", append],
    ...["-chardev", `file,id=serial0,path=${inFolder("serial.log")},append=on`, "-serial", "chardev:serial0"],
    ...["-qmp", `unix:${inFolder("qmp.sock")},server=on,wait=off`, "-qmp", `unix:${inFolder("operator.sock")},server=on,wait=off`],
    ...disks,
    ...(emptyDrive === undefined ? [] : ["-device", `ide-cd,id=${emptyDrive}`]),
  ];
}

/** On which a guest is told of its disks (initramfs.ts): by QEMU's standard input, or by nobody. */
export function secondSerial(from: "stdio" | "null"): string[] {
  return ["-chardev", `${from},id=serial1${from === "stdio" ? ",signal=off" : ""}`, "-serial", "chardev:serial1"];
}

/** What the test guest runs: a busybox script that writes checksummed records to every disk and says which ones are safe. */

import { copyFile, mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { run } from "./command.js";
import { findProgram } from "./install.js";
import { guestKernel, moduleOrder } from "./kernel.js";

/**
 * One process per disk. A record is a line of 64 bytes, 64 times: the sequence number decides every byte of it.
 * It is said to be safe (`W <disk> <number> <duration>cs`) only after its fsync returned. See record.ts for the same rules, read back.
 */
const writer = `write_records() {
  disk=$1; n=$first; dots=...............................................................
  while true; do
    slot=$((n % 400)); at=$((slot * 16 + slot % 16))
    line="livedisk $disk $n $(((n * 48271 + 11) % 2147483647)) "
    line="$line\${dots:\${#line}}
"
    record=$line; record=$record$record$record$record; record=$record$record$record$record; record=$record$record$record$record
    printf %s "$record" >/tmp/$disk
    uptime_cs; began=$now
    dd if=/tmp/$disk of=/dev/$disk bs=4096 seek=$at conv=notrunc,fsync 2>/dev/null && { uptime_cs; echo "W $disk $n $((now - began))cs"; }
    n=$((n + 1)); usleep $pause
  done
}
`;

const init = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs d /dev; mount -t proc p /proc; mount -t sysfs s /sys; mount -t tmpfs t /tmp
echo
fail() { echo "NODISK $1"; sleep 100000; }
uptime_cs() { read -r up rest </proc/uptime; now=$((\${up%.*} * 100 + 1\${up#*.} - 100)); }
${writer}
first=1; pause=10000; disks=
for word in $(cat /proc/cmdline); do case $word in
  livedisk.first=*) first=\${word#*=};;
  livedisk.pause=*) pause=\${word#*=};;
  livedisk.disks=*) disks=$(echo \${word#*=} | tr , ' ');;
esac; done
for module in ${moduleOrder.join(" ")}; do insmod /lib/$module.ko || echo "module $module failed"; done
[ -n "$disks" ] || fail "(none named)"
for disk in $disks; do
  for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -b /dev/$disk ] && break; usleep 100000; done
  [ -b /dev/$disk ] || fail $disk
  [ "$(cat /sys/block/$disk/ro)" = 0 ] || fail "$disk (read-only)"
done
echo READY
for disk in $disks; do write_records $disk & done
while true; do sleep 100000; done
`;

/** Writes the initramfs to `file`. Cheap (0.1 s): made anew for every guest. */
export async function writeInitramfs(file: string): Promise<void> {
  const kernel = await guestKernel();
  const busybox = findProgram("busybox");
  if (busybox === undefined) throw new Error("Unable to make the test guest: there is no busybox. Install the package busybox-static.");
  const root = `${file}.root`;
  for (const folder of ["bin", "dev", "proc", "sys", "tmp", "lib"]) await mkdir(path.join(root, folder), { recursive: true });
  await copyFile(busybox, path.join(root, "bin/busybox"));
  for (const module of moduleOrder) await copyFile(path.join(kernel.modules, `${module}.ko`), path.join(root, "lib", `${module}.ko`));
  await writeFile(path.join(root, "init"), init, { mode: 0o755 });
  const pack = `cd "$1" && find . | cpio --create --format=newc --quiet | gzip -1 >"$2" && rm -r "$1"`;
  await run("sh", ["-c", pack, "sh", root, file]);
}

/** What the test guest runs: a script that starts a writer of checksummed records for every disk. */

import { copyFile, mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { run } from "./command.js";
import { findProgram } from "./install.js";
import { guestKernel, moduleOrder } from "./kernel.js";

/**
 * One process per disk, which never forks, so that it costs an emulated processor little and can measure each write itself. A record is a
 * line of 64 bytes, 64 times: the sequence number decides every byte of it. It is said to be safe (`W <disk> <number> <duration>us`) only
 * after its fsync returned. See record.ts for the same rules, read back. Perl is on every Debian.
 */
const writer = `my ($disk, $n, $pause) = @ARGV;
sysopen(my $out, "/dev/$disk", 1) or die "no $disk";
$| = 1;
sub now { my $time = "\\0" x 16; syscall(228, 1, $time); my ($s, $ns) = unpack("qq", $time); return $s * 1000000 + int($ns / 1000); }
while (1) {
  my $slot = $n % 400;
  my $line = sprintf("livedisk %s %d %d ", $disk, $n, ($n * 48271 + 11) % 2147483647);
  my $record = ($line . "." x (63 - length $line) . "\\n") x 64;
  my $began = now();
  sysseek($out, $slot * 65536 + ($slot % 16) * 4096, 0);
  if (syswrite($out, $record) == 4096 && syscall(74, fileno($out)) == 0) { my $took = now() - $began; print "W $disk $n \${took}us\\n"; }
  $n++;
  select(undef, undef, undef, $pause / 1000000);
}
`;

const init = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs d /dev; mount -t proc p /proc; mount -t sysfs s /sys
echo
fail() { echo "NODISK $1"; sleep 100000; }
first=; pause=; disks=
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
for disk in $disks; do
  perl /writer.pl $disk $first $pause &
done
while true; do sleep 100000; done
`;

/** What the guest rests between two records, unless it is told otherwise. */
const usualPauseMs = 40;

/** What the script above is told, and what makes an emulated boot quick. */
export interface BootOptions {
  /** As the guest names them. */
  disks: readonly string[];
  /** The number of the first record. */
  first: number;
  pauseMs: number | undefined;
}

/** The kernel's command line. */
export function kernelArguments({ disks, first, pauseMs = usualPauseMs }: BootOptions): string {
  // no_timer_check: on a busy machine an emulated timer is late, and the kernel would give it up with a panic
  const kernel = "console=ttyS0 quiet panic=-1 no_timer_check nokaslr mitigations=off cryptomgr.notests";
  return `${kernel} livedisk.disks=${disks.join(",")} livedisk.first=${first} livedisk.pause=${pauseMs * 1000}`;
}

/** Writes the initramfs to `file`. Cheap (0.1 s): made anew for every guest. */
export async function writeInitramfs(file: string): Promise<void> {
  const kernel = await guestKernel();
  const busybox = findProgram("busybox");
  if (busybox === undefined) throw new Error("Unable to make the test guest: there is no busybox. Install the package busybox-static.");
  const root = `${file}.root`;
  for (const folder of ["bin", "dev", "proc", "sys", "lib"]) await mkdir(path.join(root, folder), { recursive: true });
  await copyFile(busybox, path.join(root, "bin/busybox"));
  for (const module of moduleOrder) await copyFile(path.join(kernel.modules, `${module}.ko`), path.join(root, "lib", `${module}.ko`));
  await writeFile(path.join(root, "init"), init, { mode: 0o755 });
  await addPerl(root);
  const pack = `cd "$1" && find . | cpio --create --format=newc --quiet | gzip -1 >"$2" && rm -r "$1"`;
  await run("sh", ["-c", pack, "sh", root, file]);
}

async function addPerl(root: string): Promise<void> {
  const perl = findProgram("perl");
  if (perl === undefined) throw new Error("Unable to make the test guest: there is no perl. Install the package perl-base.");
  const libraries = (await run("ldd", [perl])).match(/\/\S+/g) ?? [];
  for (const file of [perl, ...libraries]) {
    const there = path.join(root, file === perl ? "/bin/perl" : file);
    await mkdir(path.dirname(there), { recursive: true });
    await copyFile(file, there);
  }
  await writeFile(path.join(root, "writer.pl"), writer);
}

/** What the test guest runs: a script that starts a writer of checksummed records for every disk. */

import { copyFile, mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { run } from "./command.js";
import { findProgram } from "./install.js";
import { guestKernel, moduleOrder } from "./kernel.js";

/**
 * The guest's first process, and by fork one writer per disk. Nothing else is ever started, so that an emulated processor has little to do
 * and each write can be measured where it is made. Perl is on every Debian; the numbers are those of Linux' system calls on x86-64.
 *
 * A record is a line of 64 bytes, 64 times: the sequence number decides every byte of it. It is said to be safe
 * (`W <disk> <number> <duration>us`) only after its fsync returned. See record.ts for the same rules, read back.
 */
const init = String.raw`#!/bin/perl
my %call = (fsync => 74, mount => 165, clock_gettime => 228, finit_module => 313);
$| = 1;
for (["devtmpfs", "/dev"], ["proc", "/proc"], ["sysfs", "/sys"]) { my ($type, $at) = @$_; syscall($call{mount}, $type, $at, $type, 0, 0); }
print "\n";

sub rest { select(undef, undef, undef, $_[0]); }
sub line { open(my $file, "<", $_[0]) or return ""; my $text = <$file>; chomp($text); return $text; }
sub forever { rest(100000) while 1; }
sub fail { print "NODISK $_[0]\n"; forever(); }
sub now { my $time = "\0" x 16; syscall($call{clock_gettime}, 1, $time); my ($s, $ns) = unpack("qq", $time); return $s * 1000000 + int($ns / 1000); }

sub writes {
  my ($disk, $n, $pause) = @_;
  sysopen(my $out, "/dev/$disk", 1) or die "no $disk";
  while (1) {
    my $slot = $n % 400;
    my $line = sprintf("livedisk %s %d %d ", $disk, $n, ($n * 48271 + 11) % 2147483647);
    my $record = ($line . "." x (63 - length $line) . "\n") x 64;
    my $began = now();
    sysseek($out, $slot * 65536 + ($slot % 16) * 4096, 0);
    if (syswrite($out, $record) == 4096 && syscall($call{fsync}, fileno($out)) == 0) { my $took = now() - $began; print "W $disk $n ", $took, "us\n"; }
    $n++;
    rest($pause);
  }
}

my $options = ""; # no literal: a system call may write to what it is given
my %told = map { /^livedisk\.(\w+)=(.*)$/ ? ($1 => $2) : () } split(" ", line("/proc/cmdline"));
for my $module (qw(${moduleOrder.join(" ")})) {
  open(my $file, "<", "/lib/$module.ko");
  syscall($call{finit_module}, fileno($file), $options, 0) == 0 or print "module $module failed: $!\n";
}
my @disks = split(",", $told{disks}) or fail("(none named)");
for my $disk (@disks) {
  for (1 .. 40) { last if -b "/dev/$disk"; rest(0.05); }
  -b "/dev/$disk" or fail($disk);
  line("/sys/block/$disk/ro") eq "0" or fail("$disk (read-only)");
}
print "READY\n";
for my $disk (@disks) { fork() == 0 and writes($disk, $told{first}, $told{pause} / 1000000); }
forever();
`;

/** What the guest rests between two records, unless it is told otherwise. */
const usualPauseMs = 60;

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
  const kernel = "console=ttyS0 quiet panic=-1 no_timer_check nokaslr nosmp noreplace-smp mitigations=off cryptomgr.notests";
  return `${kernel} livedisk.disks=${disks.join(",")} livedisk.first=${first} livedisk.pause=${pauseMs * 1000}`;
}

/** Writes the initramfs to `file`, uncompressed: the guest would unpack it slowly. Cheap (0.1 s): made anew for every guest. */
export async function writeInitramfs(file: string): Promise<void> {
  const kernel = await guestKernel();
  const root = `${file}.root`;
  for (const folder of ["dev", "proc", "sys", "lib"]) await mkdir(path.join(root, folder), { recursive: true });
  for (const module of moduleOrder) await copyFile(path.join(kernel.modules, `${module}.ko`), path.join(root, "lib", `${module}.ko`));
  await writeFile(path.join(root, "init"), init, { mode: 0o755 });
  await addPerl(root);
  const pack = `cd "$1" && find . | cpio --create --format=newc --quiet >"$2" && rm -r "$1"`;
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
}

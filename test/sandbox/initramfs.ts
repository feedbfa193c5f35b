/** What the test guest runs: a script that starts a writer of checksummed records for every disk. */

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { run } from "./command.js";
import { findProgram } from "./install.js";
import { cacheFolder, guestKernel, moduleOrder } from "./kernel.js";

/**
 * The guest's first process, and by fork one writer per disk. Nothing else is ever started, so that an emulated processor has little to do
 * and each write can be measured where it is made. Perl is on every Debian; the numbers are those of Linux' system calls on x86-64.
 *
 * A record is a line of 64 bytes, 64 times: the sequence number decides every byte of it. It is said to be safe
 * (`W <disk> <number> <duration>us`) only after its fsync returned. See record.ts for the same rules, read back.
 *
 * A guest whose kernel's command line names no disks asks for them on its second serial line, with nothing read from any disk yet: there its
 * RAM is saved, and a guest that is restored from that is told (saved-guest.ts).
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

sub load {
  my ($module, $options) = (@_, ""); # no literal: a system call may write to what it is given
  open(my $file, "<", "/lib/$module.ko");
  syscall($call{finit_module}, fileno($file), $options, 0) == 0 or print "module $module failed: $!\n";
}

# opened before it asks: what arrives on a line that nobody has open is lost
sub ask { open(my $answers, "+<", "/dev/ttyS1") or fail("(nobody to ask)"); print "ASK\n"; return scalar(<$answers>); }
sub told { return map { /^livedisk\.(\w+)=(.*)$/ ? ($1 => $2) : () } split(" ", $_[0]); }

my ($last, @before) = reverse(qw(${moduleOrder.join(" ")}));
load($_) for reverse(@before);
my %told = told(line("/proc/cmdline"));
%told = told(ask()) unless exists $told{disks};
load($last);
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
export function kernelArguments(options: BootOptions): string {
  return `${askingArguments} ${toldArguments(options)}`;
}

/** That of a guest that asks for the rest. */
// no_timer_check: on a busy machine an emulated timer is late, and the kernel would give it up with a panic
export const askingArguments = "console=ttyS0 quiet panic=-1 no_timer_check nokaslr nosmp noreplace-smp mitigations=off cryptomgr.notests";

/** What such a guest is answered. */
export function toldArguments({ disks, first, pauseMs = usualPauseMs }: BootOptions): string {
  return `livedisk.disks=${disks.join(",")} livedisk.first=${first} livedisk.pause=${pauseMs * 1000}`;
}

/** What guests start from; what is unused for long is removed (saved-guest.ts). */
export const guestFolder = path.join(cacheFolder, "guests");

export interface Initramfs {
  file: string;
  /** Of all that is in it. */
  hash: string;
}

let making: Promise<Initramfs> | undefined;

/** The initramfs, made and kept when this is the first time for this content; uncompressed: the guest would unpack it slowly. */
export function guestInitramfs(): Promise<Initramfs> {
  making ??= makeOnce().catch((reason: unknown) => {
    making = undefined;
    throw reason;
  });
  return making;
}

async function makeOnce(): Promise<Initramfs> {
  const contents = await listContents();
  const hash = createHash("sha256").update(init);
  for (const [name, file] of contents) hash.update(`\0${name}\0`).update(await readFile(file));
  const digest = hash.digest("hex");
  const made = { hash: digest, file: path.join(guestFolder, `initramfs-${digest.slice(0, 16)}`) };
  if (existsSync(made.file)) {
    await utimes(made.file, new Date(), new Date());
    return made;
  }
  await mkdir(guestFolder, { recursive: true });
  const workshop = await mkdtemp(path.join(cacheFolder, "initramfs-"));
  try {
    await pack(contents, path.join(workshop, "root"), path.join(workshop, "packed"));
    await rename(path.join(workshop, "packed"), made.file);
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
  return made;
}

async function pack(contents: ReadonlyMap<string, string>, root: string, to: string): Promise<void> {
  for (const folder of ["dev", "proc", "sys"]) await mkdir(path.join(root, folder), { recursive: true });
  for (const [name, file] of contents) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await copyFile(file, path.join(root, name));
  }
  await writeFile(path.join(root, "init"), init, { mode: 0o755 });
  await run("sh", ["-c", `cd "$1" && find . | cpio --create --format=newc --quiet >"$2"`, "sh", root, to]);
}

/** Where each file of it comes from, by its path in it; the script itself aside. */
async function listContents(): Promise<ReadonlyMap<string, string>> {
  const kernel = await guestKernel();
  const perl = findProgram("perl");
  if (perl === undefined) throw new Error("Unable to make the test guest: there is no perl. Install the package perl-base.");
  const libraries = (await run("ldd", [perl])).match(/\/\S+/g) ?? [];
  return new Map([
    ...moduleOrder.map((module) => [`lib/${module}.ko`, path.join(kernel.modules, `${module}.ko`)] as const),
    ["bin/perl", perl] as const,
    ...libraries.map((file) => [file.slice(1), file] as const),
  ]);
}

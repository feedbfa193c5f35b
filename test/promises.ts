/**
 * What is promised, each with the test that proves it: the proposal's rules (docs/mirrored-snapshots.md) and every argument of the
 * resources (docs/reference.md). promises.test.ts fails when a row's test is not there, and when an argument has no row.
 */

/** A test's file below test/, and its whole title. */
export type Proof = readonly [file: string, title: string];

const life = (title: string): Proof => ["mirrored-snapshot/life.test.ts", `a mirrored snapshot ${title}`];
const lasting = (title: string): Proof => ["mirrored-snapshot/refusals.test.ts", `while a mirrored snapshot lasts ${title}`];
const external = (title: string): Proof => ["mirrored-snapshot/refusals.test.ts", `files that were made before ${title}`];
const several = (title: string): Proof => ["mirrored-snapshot/several-disks.test.ts", `a mirrored snapshot of several disks ${title}`];
const lost = (title: string): Proof => ["mirrored-snapshot/lost.test.ts", `a mirrored snapshot whose QEMU was killed ${title}`];
const mirrored = (title: string): Proof => ["mirrored-snapshot/arguments.test.ts", `the arguments of a MirroredSnapshot ${title}`];
const difference = (title: string): Proof => ["mirrored-snapshot/arguments.test.ts", `the difference of a MirroredSnapshot ${title}`];
const diskspec = (title: string): Proof => ["mirrored-snapshot/diskspec.test.ts", `a diskspec ${title}`];
const steps = (mode: string): Proof => [
  "mirrored-snapshot/five-steps.test.ts",
  `the proposal's five steps, as examples/mirrored-snapshot has them move the disk of a guest that writes all the time, copy mode ${mode}`,
];
const base = (title: string): Proof => ["domain-disk/base.test.ts", `the declared base of a disk ${title}`];
const migration = (title: string): Proof => ["arguments.test.ts", `the arguments of a StorageMigration ${title}`];
const disk = (title: string): Proof => ["storage-migration/disk.test.ts", `a disk that cannot be moved as it is ${title}`];
const restart = (title: string): Proof => [
  "storage-migration/restart.test.ts",
  `a guest that is killed between the freeze and the end of a move by an overlay ${title}`,
];
const overlay = (title: string): Proof => ["storage-migration/overlay.test.ts", `a move by an overlay ${title}`];
const pace = (title: string): Proof => ["storage-migration/pace.test.ts", `a move that may take its time ${title}`];
const verified = (title: string): Proof => ["storage-migration/verify.test.ts", `a copy that is verified ${title}`];
const drifted = (title: string): Proof => ["storage-migration/drift.test.ts", `a disk that was moved behind the resource's back ${title}`];
const together = (title: string): Proof => ["storage-migration/all-or-none.test.ts", `two disks that move in one operation ${title}`];
const moving = (kind: string, title: string): Proof => ["e2e/move.test.ts", `a ${kind} ${title}`];
const host = (file: string, title: string): Proof => [`host/${file}.test.ts`, title];

/** The proposal's rules, in its order. */
export const rules: readonly { rule: string; proofs: readonly Proof[] }[] = [
  { rule: "the five steps move a running guest's disk, no write lost", proofs: [steps("background"), steps("write-blocking")] },
  {
    rule: "step 1: pre-created files name their backing file relatively, and their headers are respected",
    proofs: [
      external("are refused for an overlay on another layer, with nothing touched"),
      life("pivots onto the user's copies without losing a write, copy mode background"),
    ],
  },
  {
    rule: "step 1: pre-created files are empty overlays of the right size",
    proofs: [
      external("are refused for an overlay that holds something, with nothing touched"),
      external("are refused for another size, with nothing touched"),
    ],
  },
  {
    rule: "without reuse-external both files are made, and nothing is overwritten",
    proofs: [
      life("makes both files, and an abort leaves the guest on the overlay alone"),
      external("are not overwritten without reuseExternal"),
    ],
  },
  {
    rule: "step 2: the guest writes to file, and old is the backing of both",
    proofs: [life("pivots onto the user's copies without losing a write, copy mode write-blocking")],
  },
  {
    rule: "step 3: the user copies while the guest writes; a copy with a hole in it is found",
    proofs: [lasting("a pivot is refused for a copy with a hole in it")],
  },
  {
    rule: "step 4: mirror-pivot follows the mirror's own relative name to the copies",
    proofs: [
      lasting("and after a refusal it pivots onto whole copies, with nothing lost"),
      lasting("a pivot is refused for a chain that leads back into the source's directory"),
    ],
  },
  {
    rule: "step 4: mirror-abort drops the mirror, and the guest stays on file",
    proofs: [
      life("makes both files, and an abort leaves the guest on the overlay alone"),
      lost("can be aborted, and the guest stays on the overlay"),
    ],
  },
  {
    rule: "step 5: blockpull --base",
    proofs: [base("has what lies between pulled up into the active image, with a relative name, and closes it")],
  },
  {
    rule: "pivot and abort are mutually exclusive: invalid argument, in the proposal's words",
    proofs: [mirrored("refuse pivot and abort at once"), mirrored("refuse pivot and abort as a list")],
  },
  {
    rule: "a mirrored snapshot is deleted only with one of the two",
    proofs: [
      [
        "mirrored-snapshot/arguments.test.ts",
        "deleting a MirroredSnapshot without onDelete is refused with the proposal's rule, before anything is asked of the host",
      ],
    ],
  },
  {
    rule: "a mirrored snapshot is deleted only while it is the current one",
    proofs: [lasting("a second snapshot of the disk is refused"), lost("stops in words if the guest was started from the stale image")],
  },
  {
    rule: "creating over several disks is atomic",
    proofs: [several("is taken of all in one transaction"), several("is taken of none when QEMU refuses one of them in the transaction")],
  },
  {
    rule: "deleting over several disks fails only after it has recorded which did pivot",
    proofs: [
      several("records that all pivoted before the guest is let go, so that a run whose worker is killed there is finished by the next"),
    ],
  },
  { rule: "save is refused while a mirrored snapshot is current", proofs: [mirrored("refuse memory")] },
  { rule: "no-metadata is refused while a mirrored snapshot is current", proofs: [mirrored("refuse noMetadata")] },
  {
    rule: "the diskspec grammar, where ,, is a literal comma",
    proofs: [
      diskspec("takes two commas for a literal one, and of three the first two"),
      diskspec("comes back from its own text, whatever its names hold"),
    ],
  },
  {
    rule: "the XML: a mirror element in each disk of domainsnapshot",
    proofs: [
      ["mirrored-snapshot/snapshot-xml.test.ts", "the XML of a mirrored snapshot is the proposal's"],
      [
        "mirrored-snapshot/snapshot-xml.test.ts",
        "the XML of a mirrored snapshot is read back by a parser as it was, whatever the names hold",
      ],
    ],
  },
  {
    rule: "a mirror ends with its QEMU: it is lost, and never pivoted onto",
    proofs: [lost("is lost: a pivot is refused, an up mirrors again onto an emptied file, and then it pivots")],
  },
];

/** Per resource (and for what they share) each argument by its name. */
export const argumentsProved: Readonly<Record<string, Readonly<Record<string, readonly Proof[]>>>> = {
  host: {
    address: [["arguments.test.ts", "the difference of a StorageMigration replaces for another host"]],
    port: [host("target", "the host argument with a port that is none is refused in a sentence")],
    user: [["arguments.test.ts", "the difference of a StorageMigration changes in place for another way to the same host"]],
    identityFile: [host("sign-in", "signing in works by an identity file, also below the home directory")],
    hostKey: [
      host("host-key", "the host key is trusted by its fingerprint"),
      host("host-key", "the host key with another fingerprint is refused, with both in the sentence"),
    ],
    knownHostsFile: [host("host-key", "the host key is found in known_hosts, in plain and in lists")],
    jump: [host("jump", "a host behind a jump host is reached, and both host keys are checked")],
    privilege: [host("sudo", "a host with privilege sudo runs commands and conversations through sudo")],
    stateDirectory: [
      [
        "storage-migration/no-room.test.ts",
        "a disk whose own directory is full is begun with its manifest in the state directory, and a run that is cut leaves it there",
      ],
    ],
  },
  domain: {
    qmp: [["storage-migration/reach.test.ts", "a move whose guest cannot be reached says that there is no socket"]],
    uri: [["hypervisor/libvirt/base.test.ts", "the layers of a disk of libvirt's are looked for at the libvirtd that domain.uri names"]],
    libvirt: [
      ["hypervisor/libvirt/look.test.ts", "a domain of libvirt's that does not exist is said to be missing, and by its UUID it is found"],
    ],
  },
  DomainDisk: {
    disk: [["arguments.test.ts", "the difference of a DomainDisk replaces for another disk"]],
    storage: [moving("DomainDisk of a guest started with -drive", "moves the disk when storage changes")],
    base: [
      base("is refused if it is no layer of the chain, in a sentence that lists the layers"),
      base("shows as drift where another layer is right below the active image"),
    ],
  },
  MirroredSnapshot: {
    disks: [several("is taken of all in one transaction"), difference("refuses another disks: end this snapshot first")],
    diskspecs: [steps("background"), mirrored("refuse both disks and diskspecs"), mirrored("refuse neither disks nor diskspecs")],
    reuseExternal: [
      external("are not overwritten without reuseExternal"),
      difference("refuses another reuseExternal: end this snapshot first"),
    ],
    copyMode: [
      life("pivots onto the user's copies without losing a write, copy mode write-blocking"),
      difference("refuses another copyMode: end this snapshot first"),
    ],
    keepBase: [
      [
        "mirrored-snapshot/refusals.test.ts",
        "a layer that both chains share may stay in the source's directory if it is the declared keepBase",
      ],
      difference("refuses another keepBase: end this snapshot first"),
    ],
    onDelete: [difference("changes onDelete in place"), life("makes both files, and an abort leaves the guest on the overlay alone")],
    stallSeconds: [difference("refuses another stallSeconds: end this snapshot first")],
    memory: [mirrored("refuse memory")],
    noMetadata: [mirrored("refuse noMetadata")],
  },
  StorageMigration: {
    disks: [
      migration("refuse a disk twice in a sentence that names the argument"),
      migration("refuse no disks at all in a sentence that names the argument"),
      together("both stay at the source when the job of one ends by itself in the switch"),
      together("both stay at the source when the job of one does not come to its end in switchSeconds"),
      together("by an overlay both stay on the overlays at the source when the job of one ends by itself, and are moved by the next run"),
    ],
    destination: [moving("StorageMigration of a guest started with -blockdev", "moves the disk when destination changes")],
    strategy: [
      ["e2e/snapshot.test.ts", "strategy snapshot with collapse commit and copy mode background ends on the same names, with every record"],
    ],
    collapse: [["e2e/snapshot.test.ts", "strategy snapshot with collapse none keeps the longer chain, with every record"]],
    restartDuringMove: [
      migration("refuse strategy snapshot without restartDuringMove in a sentence that names the argument"),
      migration("refuse restartDuringMove with a mirror in a sentence that names the argument"),
      restart("while the frozen files are copied boots from the overlay at the source"),
      restart("while the overlay is mirrored boots from the overlay at the source"),
      restart("after the switch boots from the overlay at the destination"),
      restart("in the copy, in the mirror and after the switch, one after the other, ends with the next up on the same names"),
      restart("but booted from the frozen image is left alone, in a sentence that names the image that it must be started from"),
    ],
    keepBase: [
      [
        "storage-migration/chain.test.ts",
        "a chain that moves under a writing guest leaves keepBase where it is, and names it by its full path",
      ],
      overlay("leaves keepBase where it is, and names it by its full path"),
    ],
    maxBytesPerSecond: [
      pace("copies no faster than it may, and the next run of a cut one at the speed that it is given"),
      pace("mirrors no faster than it may, and the next run of a cut one gives the running job the speed that it is given"),
      migration("refuse a negative speed in a sentence that names the argument"),
    ],
    copyMode: [
      [
        "e2e/snapshot.test.ts",
        "strategy snapshot with collapse pull and copy mode write-blocking ends on the same names, with every record",
      ],
    ],
    verify: [
      verified("is found to differ where only the storage differs and not the page cache, and is removed"),
      verified("is compared by the next run where the comparison was cut, before any mirror starts"),
    ],
    afterwards: [
      ["storage-migration/afterwards.test.ts", "two disks behind one link leave no former image, if asked"],
      migration("refuse keep without a link in a sentence that names the argument"),
      overlay("moves all disks behind a link, by which they boot, and keeps the old images by their names, if asked"),
    ],
    link: [
      ["storage-migration/link.test.ts", "a link leads to the destination after the move, and disks that do not lie behind it stay"],
      overlay("moves all disks behind a link, by which they boot, and keeps the old images by their names, if asked"),
    ],
    loses: [
      disk("is refused for dirty bitmaps, which are named; with `loses` it moves"),
      overlay("is refused for bitmaps that live in QEMU's memory alone"),
      overlay("is refused with collapse pull for bitmaps and for internal snapshots that live in the image"),
      overlay("carries persistent bitmaps, which go on recording, and internal snapshots with collapse commit"),
    ],
    stallSeconds: [
      pace("is given up after stallSeconds when the copy stands still, and goes on with the next run"),
      pace("is given up after stallSeconds when the mirror stands still, and the next run lets it go on"),
    ],
    switchSeconds: [together("both stay at the source when the job of one does not come to its end in switchSeconds")],
    onDrift: [
      drifted("is only reported with onDrift report: the inputs stay, `drift` says it, a warning is given, and there is no difference"),
      drifted("is shown as another destination with onDrift correct, without a warning"),
    ],
  },
};

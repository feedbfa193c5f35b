/** The steps that only a guest of libvirt's has. */

import type { Job } from "../../core/disk/job.js";
import { diskKey, jobNames } from "../../core/disk/names.js";
import { UserError } from "../../core/errors.js";
import type { Host } from "../../host/host.js";
import { type LibvirtSilence, type LibvirtSwitchResult, runLibvirtSwitch } from "../../host/worker/libvirt-switching.js";
import { type MirrorOptions, mirrorBufferBytes } from "../block-steps.js";
import type { Burdens, CopyTarget, GuestView, ImageFile, ManagedGuest, PlannedLibvirtSwitch } from "../hypervisor.js";
import { burdensOf, unreadable } from "./burdens.js";
import { syncDefinitions } from "./definitions.js";
import { copyTargetXml, diskXmlAt } from "./disk-xml.js";
import { readDomain } from "./domain-xml.js";
import { allDomains, type DomainSeen } from "./look.js";
import { blockJobIn, progressOf } from "./progress.js";
import { letGo } from "./resuming.js";
import type { Virsh } from "./virsh.js";
import { command } from "./words.js";

export function openManaged(uri: string, see: () => Promise<DomainSeen>, virsh: () => Promise<Virsh>): ManagedGuest {
  return new Managed(uri, see, virsh);
}

/**
 * @host virsh blockjob, virsh dumpxml
 * @for libvirt
 * @does asks for a job and the persistent definition
 * @changes nothing
 * @as libvirtd, for the account that asks
 * @why the next start must find the image that the guest writes to
 * @host virsh blockcopy
 * @does starts a copy job onto a new image (`--transient-job`)
 * @changes the new image
 * @why what the guest writes to is copied by QEMU
 * @host virsh snapshot-create-as
 * @does puts overlays that are there already on the disks that are named (`--no-metadata --reuse-external`)
 * @changes the guest writes to the overlays from then on
 * @why strategy `snapshot` begins so
 * @host virsh blockcommit, virsh blockpull
 * @does starts a job that flattens a chain down to a named image, or up from it
 * @changes the image that is committed into, or that takes up what is below
 * @why strategy `snapshot` ends so; `base` of DomainDisk
 * @host virsh update-device
 * @does writes into the persistent definition where a disk is (`--config`)
 * @changes the persistent definition, that disk's source
 * @why the next start must find the image that the guest writes to
 * @host virsh, virsh hostname, virsh list, virsh dumpxml, virsh domstate, virsh domjobinfo, virsh metadata, virsh suspend, virsh blockjob, virsh
 *   update-device, virsh resume
 * @for switching
 * @does a child of the worker suspends the guest, pivots its jobs, looks where each disk is, corrects the persistent definition (`--config`), resumes the guest; it goes
 *   on to its end also if our run is killed
 * @changes the guest is suspended for a moment; which image takes its writes; an element in the running domain's metadata as long as it is suspended; the
 *   persistent definition; manifests; the name of the former image; a file livedisk-….xml in $TMPDIR or /tmp for a moment
 * @as the account; libvirtd does what virsh asks
 * @why while the guest is suspended both sides are the same, so that definition and manifests can follow it
 * @host rm
 * @for clean-up
 * @does removes a temporary file of ours
 * @changes the file with XML that `virsh` was given
 * @as the account
 * @why virsh takes XML from files only
 */
class Managed implements ManagedGuest {
  readonly #see: () => Promise<DomainSeen>;
  readonly #virsh: () => Promise<Virsh>;

  constructor(
    readonly uri: string,
    see: () => Promise<DomainSeen>,
    virsh: () => Promise<Virsh>,
  ) {
    this.#see = see;
    this.#virsh = virsh;
  }

  async burdens(disk: string): Promise<Burdens> {
    return burdensOf(await this.#virsh(), (await this.#see()).live, disk);
  }

  async staying(): Promise<readonly string[]> {
    const { live } = await this.#see();
    return live.nvram === undefined ? [] : [`${live.nvram}: the firmware's variables stay where they are`];
  }

  /**
   * Without --reuse-external: with it, and --shallow, libvirt opens the target without its backing until the pivot, and with
   * --synchronous-writes QEMU then fills with zeroes what a guest's write leaves of a cluster (decisions/0002: 115 of 115 clusters that
   * were written meanwhile were lost, with no error, libvirt 9.0). So the target is empty, and its chain is given in the XML.
   * --transient-job: else libvirt refuses a persistent domain. libvirt decides by itself what `--shallow` means for a raw image.
   */
  async startCopy(disk: string, target: CopyTarget, options: Pick<MirrorOptions, "copyMode" | "maxBytesPerSecond">): Promise<void> {
    const { live } = await this.#see();
    const flags = [
      ...(target.below.length > 0 ? ["--shallow"] : []),
      "--transient-job",
      ...(options.copyMode === "write-blocking" ? ["--synchronous-writes"] : []),
      `--buf-size ${mirrorBufferBytes(options.maxBytesPerSecond)}`,
    ];
    const line = `blockcopy ${flags.join(" ")}${speedOf(options.maxBytesPerSecond)}`;
    await this.#withFile(`start the copy of ${disk}`, copyTargetXml(target), (file) => command(line, live.uuid, disk, "--xml", file));
  }

  /**
   * One transaction over the disks that are named; libvirt would put an overlay of its own making on every other (`snapshot=no`).
   * --no-metadata: it is no snapshot that anybody could revert to. --reuse-external: the overlay's header is ours, its name for what it
   * stands on relative; that is safe here, since an overlay gets its backing in the very transaction in which it takes writes (decisions/0002
   * is about mirrors).
   */
  async freeze(overlays: readonly { disk: string; path: string }[]): Promise<void> {
    const { live } = await this.#see();
    const specs = live.disks.map(({ target }) => {
      const overlay = overlays.find(({ disk }) => disk === target);
      if (!overlay) return `${target},snapshot=no`;
      return `${target},snapshot=external,driver=qcow2,stype=file,file=${overlay.path.replaceAll(",", ",,")}`;
    });
    const snapshot = "snapshot-create-as --disk-only --atomic --no-metadata --reuse-external";
    const names = overlays.map(({ disk }) => disk).join(", ");
    await this.#do(`freeze ${names}`, command(snapshot, live.uuid, ...specs.flatMap((spec) => ["--diskspec", spec])));
  }

  /**
   * Never without --base and --top: bare, `blockcommit --active` goes down to the very bottom of the chain, and would write this disk
   * into the base that other disks share (virDomainBlockCommit(), base NULL; decisions/0004). Never with --pivot: that is the switch's to do.
   */
  async startCommit(disk: string, { top, base }: { top: string; base: string }, maxBytesPerSecond: number): Promise<void> {
    const { live } = await this.#see();
    const commit = `blockcommit --active${speedOf(maxBytesPerSecond)}`;
    await this.#do(`start the commit of ${disk}`, command(commit, live.uuid, disk, "--base", base, "--top", top));
  }

  /** --keep-relative is refused wherever libvirt has named the layer below by its full path itself, as after every copy of its own. */
  async startPull(disk: string, base: string | undefined, maxBytesPerSecond: number): Promise<"relative" | "absolute"> {
    const { live } = await this.#see();
    const pull = `blockpull${speedOf(maxBytesPerSecond)}`;
    const downTo = base === undefined ? [] : ["--base", base]; // where nothing stays below, there is no base to name
    if (base !== undefined) {
      const [kept] = await (await this.#virsh()).ask([command(`${pull} --keep-relative`, live.uuid, disk, ...downTo)]);
      if (kept && "text" in kept) return "relative";
    }
    await this.#do(`start the pull of ${disk}`, command(pull, live.uuid, disk, ...downTo));
    return "absolute";
  }

  async lookForPull(disk: string): Promise<GuestView> {
    const { live, view } = await this.#see();
    if (!live.isActive) return view;
    const what = `look at the jobs of ${disk}`;
    const seen = blockJobIn(await this.#do(what, command("blockjob --raw", live.uuid, disk)));
    if (seen.kind === "unreadable") throw this.#refused(what, unreadable, await this.#virsh());
    // one that has ended in between shows in the chain
    if (seen.kind === "none" || seen.type !== "Block Pull") return (await this.#see()).view;
    const id = jobNames.blockpull(diskKey(live.uuid, disk));
    const job: Job = { id, type: "stream", status: "running", ...progressOf(seen.progress), ioStatus: "ok" };
    return { ...view, jobs: [...view.jobs, job] };
  }

  async switch(
    plan: PlannedLibvirtSwitch,
    lock: { path: string; number: number },
    silent: (silence: LibvirtSilence) => void,
  ): Promise<LibvirtSwitchResult> {
    const { host } = await this.#virsh();
    return runLibvirtSwitch(await host.worker(), { ...plan, uri: this.uri, switchLock: lock.path }, { locks: [lock.number], silent });
  }

  async redefine(disk: string, source: ImageFile | CopyTarget): Promise<void> {
    const { live } = await this.#see();
    const what = `read the persistent definition of ${disk} of ${live.name}`;
    const definition = readDomain(await this.#do(what, command("dumpxml --inactive", live.uuid)));
    const text = diskXmlAt(definition, disk, source);
    if (text === undefined) throw this.#refused(what, "it has no such disk with a file any more", await this.#virsh());
    const owner = definition.disks.find((each) => each.target !== disk && each.source.kind === "file" && each.source.path === source.path);
    if (owner)
      throw this.#refused(
        `redefine ${disk} of ${live.name}`,
        `its image ${source.path} is that of ${owner.target} there`,
        await this.#virsh(),
      );
    await this.#withFile(`redefine ${disk}`, text, (file) => command("update-device --config", live.uuid, file));
    await syncDefinitions((await this.#virsh()).host);
  }

  async letGo(deadline: number): Promise<string> {
    const { live } = await this.#see();
    const [disk] = live.disks;
    if (!disk) throw this.#refused(`resume ${live.name}`, "it has no disk any more, and jobs are asked for by disk", await this.#virsh());
    return letGo(await this.#virsh(), live.uuid, { disk: disk.target, deadline });
  }

  async nameOf(uuid: string): Promise<string | undefined> {
    return (await allDomains(await this.#virsh())).find((domain) => domain.uuid === uuid)?.name;
  }

  /** virsh takes XML from files only. */
  async #withFile(what: string, text: string, line: (file: string) => string): Promise<void> {
    const virsh = await this.#virsh();
    const file = await writeTemporary(virsh.host, text);
    try {
      await this.#do(what, line(file));
    } finally {
      await virsh.host.run('rm -f -- "$1"', [file]);
    }
  }

  /** @returns what libvirt says @throws UserError with its words where it refuses */
  async #do(what: string, line: string): Promise<string> {
    const virsh = await this.#virsh();
    const [reply] = await virsh.ask([line]);
    if (reply && "text" in reply) return reply.text;
    throw this.#refused(what, `libvirt answers "${reply?.refused}"`, virsh);
  }

  #refused(what: string, why: string, { host }: Virsh): UserError {
    return new UserError(`Unable to ${what} on ${host.name}: ${why}.`);
  }
}

function speedOf(maxBytesPerSecond: number): string {
  return maxBytesPerSecond > 0 ? ` --bytes --bandwidth ${maxBytesPerSecond}` : "";
}

/**
 * @host mktemp, cat
 * @for libvirt
 * @does writes XML into a new temporary file
 * @changes a file livedisk-… in $TMPDIR or /tmp, of mode 0600
 * @as the account
 * @why virsh takes XML from files only
 */
async function writeTemporary(host: Host, text: string): Promise<string> {
  const script = `file=$(mktemp "\${TMPDIR:-/tmp}/livedisk-XXXXXXXXXX") && cat >"$file" && printf %s "$file"`;
  const { exitStatus, stdout, stderr } = await host.run(script, [], { stdin: text });
  if (exitStatus === 0) return stdout;
  throw new UserError(`Unable to write a temporary file on ${host.name}: ${stderr.trim()}. Fix that, then run again.`);
}

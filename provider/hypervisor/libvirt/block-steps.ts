/** The steps on a domain's disks. */

import type { LayerFile } from "../../core/disk/chain-options.js";
import type { Job } from "../../core/disk/job.js";
import { diskKey, jobNames, jobNamesOf } from "../../core/disk/names.js";
import { UserError } from "../../core/errors.js";
import type { Host } from "../../host/host.js";
import {
  type CommitOptions,
  type FreezingDisk,
  type GuestDisk,
  type GuestView,
  type MirrorOptions,
  type MirrorTarget,
  mirrorBufferBytes,
  type PullOptions,
} from "../hypervisor.js";
import { Unable } from "../unable.js";
import { unreadable } from "./burdens.js";
import { syncDefinitions } from "./definitions.js";
import { copyTargetXml, diskXmlAt } from "./disk-xml.js";
import type { Domain } from "./domain.js";
import { type DiskXml, type DomainXml, readDomain } from "./domain-xml.js";
import { blockJobIn, progressOf } from "./progress.js";
import { command } from "./words.js";

/** libvirt has at most one job a disk. */
function diskOfJob({ uuid, disks }: DomainXml, jobId: string): DiskXml | undefined {
  return disks.find(({ target }) => jobNamesOf(diskKey(uuid, target)).includes(jobId));
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
 * @host virsh blockjob
 * @does `--abort` ends a job, `--bandwidth` limits its speed
 * @changes the job of the move; the guest stays where it is
 * @why a move that is undone ends its jobs
 * @host rm
 * @for clean-up
 * @does removes a temporary file of ours
 * @changes the file with XML that `virsh` was given
 * @as the account
 * @why virsh takes XML from files only
 */
export class LibvirtSteps {
  readonly #domain: Domain;

  constructor(domain: Domain) {
    this.#domain = domain;
  }

  /**
   * Without --reuse-external: with it, and --shallow, libvirt opens the target without its backing until the pivot, and with
   * --synchronous-writes QEMU then fills with zeroes what a guest's write leaves of a cluster (decisions/0002: 115 of 115 clusters that
   * were written meanwhile were lost, with no error, libvirt 9.0). So the target is empty, and its chain is given in the XML.
   * --transient-job: else libvirt refuses a persistent domain. libvirt decides by itself what `--shallow` means for a raw image.
   */
  async mirror({ qdev }: GuestDisk, { chain: [top, ...below] }: MirrorTarget, options: MirrorOptions): Promise<void> {
    const { live } = await this.#domain.see();
    if (!live.isActive) throw new Unable("its domain is shut off", "Start it, then run `pulumi up` again.");
    const flags = [
      ...(below.length > 0 ? ["--shallow"] : []),
      "--transient-job",
      ...(options.copyMode === "write-blocking" ? ["--synchronous-writes"] : []),
      `--buf-size ${mirrorBufferBytes(options.maxBytesPerSecond)}`,
    ];
    const line = `blockcopy ${flags.join(" ")}${speedOf(options.maxBytesPerSecond)}`;
    await this.#withFile(`start the copy of ${qdev}`, copyTargetXml(top, below), (file) => command(line, live.uuid, qdev, "--xml", file));
  }

  /**
   * One transaction over the disks that are named; libvirt would put an overlay of its own making on every other (`snapshot=no`).
   * --no-metadata: it is no snapshot that anybody could revert to. --reuse-external: the overlay's header is ours, its name for what it
   * stands on relative; that is safe here, since an overlay gets its backing in the very transaction in which it takes writes (decisions/0002
   * is about mirrors).
   */
  async freeze(disks: readonly FreezingDisk[]): Promise<void> {
    const { live } = await this.#domain.see();
    const specs = live.disks.map(({ target }) => {
      const overlay = disks.find(({ qdev }) => qdev === target)?.overlay;
      if (!overlay) return `${target},snapshot=no`;
      return `${target},snapshot=external,driver=qcow2,stype=file,file=${overlay.path.replaceAll(",", ",,")}`;
    });
    const snapshot = "snapshot-create-as --disk-only --atomic --no-metadata --reuse-external";
    const names = disks.map(({ qdev }) => qdev).join(", ");
    await this.#domain.do(`freeze ${names}`, command(snapshot, live.uuid, ...specs.flatMap((spec) => ["--diskspec", spec])));
  }

  /**
   * Never without --base and --top: bare, `blockcommit --active` goes down to the very bottom of the chain, and would write this disk
   * into the base that other disks share (virDomainBlockCommit(), base NULL; decisions/0004). Never with --pivot: that is the switch's to do.
   */
  async commit({ qdev }: GuestDisk, { top, base, maxBytesPerSecond }: CommitOptions): Promise<void> {
    const { live } = await this.#domain.see();
    const commit = `blockcommit --active${speedOf(maxBytesPerSecond)}`;
    await this.#domain.do(`start the commit of ${qdev}`, command(commit, live.uuid, qdev, "--base", base.path, "--top", top.path));
  }

  /** --keep-relative is refused wherever libvirt has named the layer below by its full path itself, as after every copy of its own. */
  async pull({ qdev }: GuestDisk, { base, maxBytesPerSecond }: PullOptions): Promise<"as-asked" | "absolute"> {
    const { live } = await this.#domain.see();
    const pull = `blockpull${speedOf(maxBytesPerSecond)}`;
    const downTo = base === undefined ? [] : ["--base", base.path]; // where nothing stays below, there is no base to name
    if (base !== undefined) {
      const [kept] = await (await this.#domain.virsh()).ask([command(`${pull} --keep-relative`, live.uuid, qdev, ...downTo)]);
      if (kept && "text" in kept) return "as-asked";
    }
    await this.#domain.do(`start the pull of ${qdev}`, command(pull, live.uuid, qdev, ...downTo));
    return "absolute";
  }

  /** Synchronous, as virsh does it without `--async`: when it is answered, the copy is gone. @see virsh(1), blockjob */
  async cancel(jobId: string): Promise<void> {
    const { live } = await this.#domain.see();
    const disk = diskOfJob(live, jobId);
    if (!disk) return;
    const { jobs } = await this.lookForPull(disk.target);
    if (jobs.some(({ id }) => id === jobId))
      await this.#domain.do(`end the job on ${disk.target} of ${live.name}`, command("blockjob --abort", live.uuid, disk.target));
  }

  async setSpeed(jobId: string, maxBytesPerSecond: number): Promise<void> {
    const { live } = await this.#domain.see();
    const disk = diskOfJob(live, jobId);
    if (!disk) return;
    const line = command(`blockjob --bytes --bandwidth ${maxBytesPerSecond}`, live.uuid, disk.target);
    await this.#domain.do(`change the speed of the job on ${disk.target} of ${live.name}`, line);
  }

  async lookForPull(qdev: string): Promise<GuestView> {
    const { live, view } = await this.#domain.see();
    if (!live.isActive) return view;
    const what = `look at the jobs of ${qdev}`;
    const seen = blockJobIn(await this.#domain.do(what, command("blockjob --raw", live.uuid, qdev)));
    if (seen.kind === "unreadable") throw this.#domain.refused(what, unreadable);
    // one that has ended in between shows in the chain
    if (seen.kind === "none" || seen.type !== "Block Pull") return (await this.#domain.see()).view;
    const id = jobNames.blockpull(diskKey(live.uuid, qdev));
    const job: Job = { id, type: "stream", status: "running", ...progressOf(seen.progress), ioStatus: "ok" };
    return { ...view, jobs: [...view.jobs, job] };
  }

  async redefine(qdev: string, source: LayerFile & { below?: readonly LayerFile[] }): Promise<void> {
    const { live } = await this.#domain.see();
    const what = `read the persistent definition of ${qdev} of ${live.name}`;
    const definition = readDomain(await this.#domain.do(what, command("dumpxml --inactive", live.uuid)));
    const text = diskXmlAt(definition, qdev, source);
    if (text === undefined) throw this.#domain.refused(what, "it has no such disk with a file any more");
    const owner = definition.disks.find((each) => each.target !== qdev && each.source.kind === "file" && each.source.path === source.path);
    if (owner) throw this.#domain.refused(`redefine ${qdev} of ${live.name}`, `its image ${source.path} is that of ${owner.target} there`);
    await this.#withFile(`redefine ${qdev}`, text, (file) => command("update-device --config", live.uuid, file));
    await syncDefinitions(this.#domain.host);
  }

  /** virsh takes XML from files only. */
  async #withFile(what: string, text: string, line: (file: string) => string): Promise<void> {
    const { host } = this.#domain;
    const file = await writeTemporary(host, text);
    try {
      await this.#domain.do(what, line(file));
    } finally {
      await host.run('rm -f -- "$1"', [file]);
    }
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

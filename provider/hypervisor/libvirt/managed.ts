/** The steps that only a guest of libvirt's has. */

import { UserError } from "../../errors.js";
import type { Host } from "../../host/host.js";
import type { Burdens, CopyTarget, ManagedGuest, MirrorOptions } from "../hypervisor.js";
import { copyTargetXml, diskXmlAt } from "./disk-xml.js";
import { readDomain } from "./domain-xml.js";
import { allDomains, type DomainSeen } from "./look.js";
import type { Virsh } from "./virsh.js";
import type { Reply } from "./virsh-session.js";
import { command } from "./words.js";

export function openManaged(uri: string, see: () => Promise<DomainSeen>, virsh: () => Promise<Virsh>): ManagedGuest {
  return new Managed(uri, see, virsh);
}

class Managed implements ManagedGuest {
  constructor(
    readonly uri: string,
    private readonly see: () => Promise<DomainSeen>,
    private readonly virsh: () => Promise<Virsh>,
  ) {}

  async burdens(disk: string): Promise<Burdens> {
    const { live } = await this.see();
    const { uuid } = live;
    const lists = [command("snapshot-list --name", uuid), command("checkpoint-list --name", uuid)];
    const [snapshots, checkpoints, job, domainJob] = await (await this.virsh()).ask([
      ...lists,
      command("blockjob --raw", uuid, disk),
      command("domjobinfo", uuid),
    ]);
    const xml = live.disks.find(({ target }) => target === disk);
    const forbids = [
      ...(xml?.shared === "yes" ? ["it is shared with other guests (<shareable/>)"] : []),
      ...(xml?.transient === "yes" ? ["it is transient (<transient/>): what is written to it is thrown away"] : []),
    ];
    return {
      snapshots: namesIn(snapshots),
      checkpoints: namesIn(checkpoints),
      jobs: [...found(job, /^ *type=(.*)$/m), ...found(domainJob, /^Job type: *(?!None)(\S.*)$/m)],
      forbids,
      staying: live.nvram === undefined ? [] : [`${live.nvram}: the firmware's variables stay where they are`],
    };
  }

  /**
   * Without --reuse-external: with it, and --shallow, libvirt opens the target without its backing until the pivot, and with
   * --synchronous-writes QEMU then fills with zeroes what a guest's write leaves of a cluster (design 3.5: 115 of 115 clusters that
   * were written meanwhile were lost, with no error, libvirt 9.0). So the target is empty, and its chain is given in the XML.
   * --transient-job: else libvirt refuses a persistent domain. libvirt decides by itself what `--shallow` means for a raw image.
   */
  async startCopy(disk: string, target: CopyTarget, options: Pick<MirrorOptions, "copyMode" | "maxBytesPerSecond">): Promise<void> {
    const { live } = await this.see();
    const flags = [
      ...(target.below.length > 0 ? ["--shallow"] : []),
      "--transient-job",
      ...(options.copyMode === "write-blocking" ? ["--synchronous-writes"] : []),
      ...(options.maxBytesPerSecond > 0 ? [`--bytes --bandwidth ${options.maxBytesPerSecond}`] : []),
    ];
    await this.#withFile(`start the copy of ${disk}`, copyTargetXml(target), (file) =>
      command(`blockcopy ${flags.join(" ")}`, live.uuid, disk, "--xml", file),
    );
  }

  async definitionAt(disk: string, path: string): Promise<string | undefined> {
    const { live } = await this.see();
    const [reply] = await (await this.virsh()).ask([command("dumpxml --inactive", live.uuid)]);
    return reply && "text" in reply ? diskXmlAt(readDomain(reply.text), disk, path) : undefined;
  }

  async redefine(disk: string, path: string): Promise<void> {
    const { live } = await this.see();
    const text = await this.definitionAt(disk, path);
    if (text === undefined)
      throw this.#refused(`redefine ${disk}`, "its persistent definition has no such disk with a file", await this.virsh());
    await this.#withFile(`redefine ${disk}`, text, (file) => command("update-device --config", live.uuid, file));
  }

  async nameOf(uuid: string): Promise<string | undefined> {
    return (await allDomains(await this.virsh())).find((domain) => domain.uuid === uuid)?.name;
  }

  /** virsh takes XML from files only. */
  async #withFile(what: string, text: string, line: (file: string) => string): Promise<void> {
    const virsh = await this.virsh();
    const file = await writeTemporary(virsh.host, text);
    try {
      const [reply] = await virsh.ask([line(file)]);
      if (!reply || "refused" in reply) throw this.#refused(what, `libvirt answers "${reply?.refused}"`, virsh);
    } finally {
      await virsh.host.run('rm -f -- "$1"', [file]);
    }
  }

  #refused(what: string, why: string, { host }: Virsh): UserError {
    return new UserError(`Unable to ${what} on ${host.name}: ${why}.`);
  }
}

async function writeTemporary(host: Host, text: string): Promise<string> {
  const script = `file=$(mktemp "\${TMPDIR:-/tmp}/livedisk-XXXXXXXXXX") && cat >"$file" && printf %s "$file"`;
  const { exitStatus, stdout, stderr } = await host.run(script, [], { stdin: text });
  if (exitStatus === 0) return stdout;
  throw new UserError(`Unable to write a temporary file on ${host.name}: ${stderr.trim()}. Mend that, then run again.`);
}

/** A refusal is an empty list: a domain that does not run has no jobs, an old libvirt no checkpoints. */
function namesIn(reply: Reply | undefined): string[] {
  return reply && "text" in reply ? reply.text.split("\n").filter((line) => line.trim() !== "") : [];
}

function found(reply: Reply | undefined, what: RegExp): string[] {
  const word = reply && "text" in reply ? what.exec(reply.text)?.[1] : undefined;
  return word === undefined ? [] : [word.trim()];
}

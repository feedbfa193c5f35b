/** The stage of every scenario: a sandbox with a guest that writes all the time, and a stack with one resource that looks after its disk. */

import { mkdir, readFile, symlink } from "node:fs/promises";
import path from "node:path";
import type { Properties } from "../../provider/core/lifecycle.js";
import type { ResourceState } from "../engine/deployment.js";
import { type OperationOptions, type OperationResult, openEngine } from "../engine/engine.js";
import type { Style } from "../sandbox/command-line.js";
import type { DiskOptions } from "../sandbox/disks.js";
import { type Gate, openGate } from "../sandbox/gate.js";
import type { Guest } from "../sandbox/guest.js";
import { HostProxy } from "../sandbox/host-proxy.js";
import { QmpProxy } from "../sandbox/qmp-proxy.js";
import { createSandbox, type Sandbox } from "../sandbox/sandbox.js";

export type Kind = "StorageMigration" | "DomainDisk";
export type Verb = "preview" | "up" | "refresh" | "destroy";

/** The program is not compiled: it is found from the repository's root. */
const project = path.resolve(__dirname, "../../../test/e2e/program");

export interface StageOptions {
  kind: Kind;
  /** @default "blockdev" */
  style?: Style;
  /** How the command line names the disk: by its directory, or through a link to it. @default "directory" */
  through?: "directory" | "link";
  /** Whether the provider's monitor is QEMU's own, or one that can act between the two. @default "direct" */
  monitor?: "direct" | "proxied";
  /** How the provider gets its key: as a file's path among the arguments, or in the stack's secret config. @default "file" */
  key?: "file" | "secret";
  /** What every command passes, to the monitor (then `proxied`) and to the host's shells. Default: none, and shells are sshd's own. */
  gate?: Gate;
  /** What else the disk is made of. */
  disk?: Omit<DiskOptions, "storage" | "through">;
  /** What the guest rests between two records. */
  pauseMs?: number;
}

/** @param name part of the folder's name */
export async function openStage(name: string, options: StageOptions): Promise<Stage> {
  const { gate, pauseMs } = options;
  const hostProxy = gate && (await HostProxy.listen(gate));
  const sandbox = await createSandbox(name, hostProxy && { sshd: { settings: hostProxy.sshdSettings } });
  try {
    if (hostProxy !== undefined) sandbox.defer(() => hostProxy.close());
    const folder = path.join(sandbox.folder, "web");
    const link = options.through === "link" ? path.join(folder, "disks") : undefined;
    await mkdir(folder);
    if (link !== undefined) await symlink(path.join(folder, "path1"), link);
    const disk = { ...options.disk, storage: path.join(folder, "path1"), ...(link !== undefined && { through: link }) };
    const settings = { ...(options.style && { style: options.style }), ...(pauseMs !== undefined && { pauseMs }) };
    const guest = await sandbox.startGuest({ name: "web", disks: [disk], ...settings });
    const stage = new Stage(sandbox, guest, options, link);
    await stage.prepare();
    return stage;
  } catch (reason) {
    await sandbox.dispose();
    throw reason;
  }
}

export class Stage implements AsyncDisposable {
  #proxy: QmpProxy | undefined;

  /** Use {@link openStage}. */
  constructor(
    readonly sandbox: Sandbox,
    readonly guest: Guest,
    readonly options: StageOptions,
    /** By which the guest's command line names its disk. */
    readonly link: string | undefined,
  ) {}

  async prepare(): Promise<void> {
    await this.sandbox.storage("web/path3");
    await mkdir(path.join(this.sandbox.folder, "pulumi"));
    const { monitor, gate = openGate } = this.options;
    if (monitor !== "proxied" && gate === openGate) return;
    const proxy = await QmpProxy.listen(path.join(this.sandbox.folder, "web/proxy.sock"), this.guest.qmpSocket, gate);
    this.#proxy = proxy;
    this.sandbox.defer(() => proxy.close());
  }

  /** @throws Error unless the monitor is `proxied` */
  get proxy(): QmpProxy {
    if (this.#proxy === undefined) throw new Error("This stage has no proxy before its monitor.");
    return this.#proxy;
  }

  /** A storage: `path1`, where the disk is at first, `path2` or `path3`; with more words, a file in it. */
  at(storage: string, ...file: string[]): string {
    return path.join(this.sandbox.folder, "web", storage, ...file);
  }

  /** Where the engine keeps the state. */
  get stateFile(): string {
    return path.join(this.sandbox.folder, "pulumi/test.json");
  }

  /** One operation of the engine, with the disk wanted at `storage`. */
  async run(verb: Verb, storage: string, options: OperationOptions = {}, more: Properties = {}): Promise<OperationResult> {
    const { kind, key } = this.options;
    const { identityFile, ...host } = this.sandbox.host;
    const place = kind === "DomainDisk" ? { disk: "vda", storage: this.at(storage) } : { disks: ["vda"], destination: this.at(storage) };
    const reached = {
      host: key === "secret" ? host : { ...host, identityFile },
      domain: { qmp: this.#proxy?.path ?? this.guest.qmpSocket },
    };
    const args = { ...reached, ...place, ...(this.link !== undefined && { link: this.link }), ...more };
    const engine = await openEngine({
      project,
      workFolder: path.dirname(this.stateFile),
      config: { "livedisk-e2e:kind": kind, "livedisk-e2e:arguments": JSON.stringify(args) },
      ...(key === "secret" && { secrets: { "livedisk:privateKey": await this.privateKey() } }),
    });
    return engine[verb](options);
  }

  /** As {@link run}. @throws Error with all that the engine has shown, unless the operation succeeds */
  async must(verb: Verb, storage: string, options: OperationOptions = {}, more: Properties = {}): Promise<OperationResult> {
    const result = await this.run(verb, storage, options, more);
    if (!result.ok) throw new Error(`The ${verb} failed:\n${result.output}`);
    return result;
  }

  privateKey(): Promise<string> {
    return readFile(this.sandbox.sshd.identityFile, "utf8");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.sandbox.dispose();
  }
}

/** The resource as the state has it. */
export function resourceIn({ state }: OperationResult): ResourceState {
  const found = state.deployment.resources.find(({ urn }) => urn.endsWith("::web"));
  if (found === undefined) throw new Error("The state does not hold the resource.");
  return found;
}

/** What was changed, or in a preview would be: the operation and the properties; the stack and its provider are the engine's own. */
export function changesOf(result: OperationResult): [string, string[]][] {
  const ours = result.changes.filter(({ op, type }) => type.startsWith("livedisk:") && op !== "same" && op !== "read");
  return ours.map(({ op, changedProperties }) => [op, changedProperties]);
}

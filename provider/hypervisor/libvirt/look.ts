/** One look at the domains of a host, for everybody who asks together: one round trip to virsh, however many domains. */

import type { LayerFile } from "../../core/disk/chain-options.js";
import { UnreachableError, UserError } from "../../core/errors.js";
import { type Header, type Headers, readChains, readHeaders } from "../../image/headers.js";
import { DomainMissing, type GuestView } from "../hypervisor.js";
import { type DomainXml, readDomain } from "./domain-xml.js";
import { blockJobIn, type Progress } from "./progress.js";
import { type DomainSaid, viewOf } from "./view.js";
import type { Virsh } from "./virsh.js";
import type { Reply } from "./virsh-session.js";
import { command } from "./words.js";

/** What was seen of one domain. */
export interface DomainSeen {
  view: GuestView;
  live: DomainXml;
}

type Answer = DomainSeen | { thrown: unknown };

class Lookout {
  #asked = new Set<string>();
  #next: Promise<ReadonlyMap<string, Answer>> | undefined;
  #current: Promise<unknown> = Promise.resolve();

  readonly #virsh: Virsh;

  constructor(virsh: Virsh) {
    this.#virsh = virsh;
  }

  /** Whoever comes while a look is under way waits for the next: no answer is older than its question. */
  async see(name: string): Promise<DomainSeen> {
    this.#asked.add(name);
    this.#next ??= this.#begin(this.#current);
    const answer = (await this.#next).get(name);
    if (!answer || "thrown" in answer) throw answer?.thrown;
    return answer;
  }

  async #begin(before: Promise<unknown>): Promise<ReadonlyMap<string, Answer>> {
    await before.catch(() => {});
    await this.#virsh.host.world.sleep(0); // who asks together has asked by then
    const names = [...this.#asked];
    this.#asked = new Set();
    this.#next = undefined;
    const looking = lookAt(this.#virsh, names);
    this.#current = looking;
    return looking;
  }
}

class Lookouts extends WeakMap<Virsh, Lookout> {}

/** @throws DomainMissing if the host says that there is no such domain @throws UnreachableError if it does not say */
export function see(virsh: Virsh, name: string): Promise<DomainSeen> {
  const lookouts = virsh.host.world.one(Lookouts);
  const lookout = lookouts.get(virsh) ?? new Lookout(virsh);
  lookouts.set(virsh, lookout);
  return lookout.see(name);
}

/**
 * UUID and name of every domain of the host, running or not.
 *
 * @host virsh list
 * @for libvirt
 * @does lists the domains of the host
 * @changes nothing
 * @as libvirtd, for the account that asks
 * @why a manifest knows its guest by UUID
 */
export async function allDomains(virsh: Virsh): Promise<{ uuid: string; name: string }[]> {
  const [list] = await virsh.ask([listAll]);
  return namesIn(virsh, list);
}

const listAll = "list --all --name --uuid";
/**
 * The option is named, so that a domain may be called `--all`. Nothing here may make libvirt ask QEMU for its block nodes, as `domstats
 * --block` does: between the end of a pull and its dismissal, which is libvirt's to do, that question ends QEMU 7.2 (a SIGSEGV in
 * bdrv_refresh_filename(); 4 of 6 guests that were asked all the time ended so, and 2 of 48 that were asked once in a while).
 */
const perDomain = ["domstate --domain", "dumpxml --domain", "dumpxml --inactive --domain"] as const;

/**
 * @host virsh list, virsh domstate, virsh dumpxml
 * @for libvirt
 * @does lists the domains of the host, and asks for state and definitions of some
 * @changes nothing
 * @as libvirtd, for the account that asks
 * @why each step is chosen by what is seen
 */
async function lookAt(virsh: Virsh, names: readonly string[]): Promise<ReadonlyMap<string, Answer>> {
  const questions = names.flatMap((name) => perDomain.map((fixed) => command(fixed, name)));
  const [list, persistent, ...replies] = await virsh.ask([listAll, "list --all --persistent --uuid", ...questions]);
  const known = namesIn(virsh, list);
  const lasting = linesOf(virsh, persistent).map((line) => line.trim());
  const answers = new Map<string, Answer>();
  const told = new Map<string, Told>();
  for (const [index, name] of names.entries()) {
    const own = replies.slice(perDomain.length * index, perDomain.length * (index + 1));
    try {
      told.set(name, tell(virsh, name, own, known, lasting));
    } catch (thrown) {
      answers.set(name, { thrown });
    }
  }
  const headers = await headersOf(virsh, [...told.values()]);
  const progress = await progressOf(virsh, [...told.values()]);
  for (const [name, said] of told) {
    const far = progress.get(said.live.uuid) ?? new Map();
    answers.set(name, { view: viewOf({ ...said, headers, progress: far }), live: said.live });
  }
  return answers;
}

type Told = Pick<DomainSaid, "live" | "persistent" | "state">;

function tell(
  virsh: Virsh,
  name: string,
  [state, live, inactive]: readonly Reply[],
  known: readonly { uuid: string; name: string }[],
  lasting: readonly string[],
): Told {
  const refused = [live, inactive, state].find((reply) => !reply || "refused" in reply);
  if (!live || !inactive || !state || "refused" in live || "refused" in inactive || "refused" in state) {
    if (!known.some((domain) => domain.name === name || domain.uuid === name)) {
      throw new DomainMissing(
        `There is no domain "${name}" at ${virsh.uri} on ${virsh.host.name}. Correct \`domain.libvirt\`, or define the domain.`,
      );
    }
    const why = refused && "refused" in refused ? refused.refused : "nothing";
    throw new UserError(
      `Unable to look at the domain "${name}" on ${virsh.host.name}: libvirt answers "${why}". Look at libvirtd's log there, then run again.`,
    );
  }
  const definition = readDomain(live.text);
  return {
    live: definition,
    persistent: lasting.includes(definition.uuid) ? readDomain(inactive.text) : undefined,
    state: state.text.trim(),
  };
}

function namesIn(virsh: Virsh, list: Reply | undefined): { uuid: string; name: string }[] {
  return linesOf(virsh, list).flatMap((line) => {
    const [, uuid, name] = /^([0-9a-f-]{36}) +(.*)$/.exec(line) ?? [];
    return uuid === undefined || name === undefined ? [] : [{ uuid, name }];
  });
}

/** A list that was refused says nothing about any domain. */
function linesOf(virsh: Virsh, list: Reply | undefined): string[] {
  if (list && "text" in list) return list.text.split("\n");
  virsh.close();
  const why = list?.refused ?? "no answer";
  throw new UnreachableError(`Unable to ask libvirt at ${virsh.uri} on ${virsh.host.name}: ${why}. Check libvirtd there, then run again.`);
}

/** By path of the active image. What a guest runs on is read layer by layer, what none runs on as its headers name it. */
async function headersOf({ host }: Virsh, told: readonly Told[]): Promise<ReadonlyMap<string, Headers>> {
  const found = new Map<string, Headers>();
  const layers: LayerFile[] = [];
  const chains: LayerFile[] = [];
  const disks = told.flatMap(({ live }) => live.disks);
  for (const { source, below } of disks) {
    if (source.kind !== "file") continue;
    if (below === undefined) chains.push(source);
    else layers.push(source, ...below);
  }
  const ofLayers = await readHeaders(host, layers);
  for (const { source, below } of disks) {
    if (source.kind !== "file" || below === undefined) continue;
    found.set(source.path, joined(ofLayers.splice(0, 1 + below.length)));
  }
  const ofChains = await readChains(host, chains);
  for (const [index, { path }] of chains.entries()) found.set(path, ofChains[index] ?? { why: "its header was not read" });
  return found;
}

function joined(layers: readonly Header[]): Headers {
  const unread = layers.find((layer) => "why" in layer);
  return unread ?? layers.flatMap((layer) => ("why" in layer ? [] : [layer]));
}

/**
 * Asked only where a copy is under way. By UUID, then by the disk's target; absent where libvirt does not tell.
 *
 * @host virsh blockjob
 * @for libvirt
 * @does asks how far a copy is
 * @changes nothing
 * @as libvirtd, for the account that asks
 * @why progress, and when to switch
 */
async function progressOf(virsh: Virsh, told: readonly Told[]): Promise<Map<string, Map<string, Progress>>> {
  const copies = told.flatMap(({ live }) => live.disks.flatMap(({ target, mirror }) => (mirror ? [{ uuid: live.uuid, target }] : [])));
  const found = new Map<string, Map<string, Progress>>();
  if (copies.length === 0) return found;
  const replies = await virsh.ask(copies.map(({ uuid, target }) => command("blockjob --raw", uuid, target)));
  for (const [index, { uuid, target }] of copies.entries()) {
    const reply = replies[index];
    const job = blockJobIn(reply && "text" in reply ? reply.text : "");
    if (job.kind !== "job" || !job.progress) continue; // how far it is stays unknown; that there is a copy, the XML has told
    const ofDomain = found.get(uuid) ?? new Map<string, Progress>();
    found.set(uuid, ofDomain.set(target, job.progress));
  }
  return found;
}

/**
 * A manifest of either kind, as it lies on the host: beside the images of both sides, saying the same. What the two say together is read here,
 * once for all kinds.
 */

import { backOf, type DiskKey, fileNames } from "../core/disk/names.js";
import { directoryOf, within } from "../core/disk/paths.js";
import { UserError } from "../core/errors.js";
import type { Host } from "../host/host.js";
import { type DecidingLink, type InPending, type SwitchSide, sideOf, type Undecided } from "./decided-by.js";
import { type directories, refuseBroughtBack, refuseMoved, refuseStray, withLowerOf } from "./generation.js";
import { beforeTorn } from "./torn.js";

type Side = "source" | "destination";

/** Where the two lie. */
export type Paths = Record<Side, string>;

/** What the manifests of all kinds have. */
interface Common {
  disk: string;
  startedAt: string;
  generation?: number | undefined;
  directories?: ReturnType<typeof directories.parse>;
}

/** As it is written down: in a switch without what decides it. */
interface Written {
  disk: string;
  current: string | Undecided;
  pending?: InPending | undefined;
}

/** What one kind of manifest is, as far as the two sides go. */
export interface ManifestKind<W extends Written, M extends Common> {
  /** For messages: `move`, `mirrored snapshot`. */
  name: string;
  paths(manifest: M, key: DiskKey): Paths;
  isOf(text: string): boolean;
  /** @throws UserError when somebody edited it, or a newer version wrote it */
  parse(text: string, path: string): W;
  /** @throws UserError where it must not lie at this place */
  checkPlace?(host: Host, written: W, path: string): void;
  decidedAs(written: W, side: SwitchSide): M;
  linkOf?(written: W): DecidingLink | undefined;
  /** How many switches it tells of: of two that differ, the lower one is from before a switch that was not written down whole. */
  switchesIn(manifest: M): number;
  /** Whether both are of one of their kind, which began at the same time. */
  areAlike?(one: M, other: M): boolean;
  /** Sides whose directory must be the one in which the manifest was written. */
  fixed: readonly Side[];
}

/** A switch that is written down and has not ended. */
export interface CutSwitch<W> {
  written: W & { current: Undecided; pending: InPending };
  decided: SwitchSide;
}

interface Read<W, M> {
  manifest: M;
  cut?: CutSwitch<W>;
}

/** What the two sides say together. */
export interface TwoSided<W, M> extends Read<W, M> {
  /** Which of the two sides has it: both, but for the begin and the end. */
  sides: "both" | Side;
  /** Where a switch was written on one side only: what that side says. */
  further?: M;
}

/** The text of a disk's manifest in a directory, or undefined where there is none. */
export type ReadText = (directory: string) => Promise<string | undefined>;

export class Reader<W extends Written, M extends Common> {
  readonly #host: Host;
  readonly #kind: ManifestKind<W, M>;
  readonly #key: DiskKey;
  readonly #textIn: ReadText;

  constructor(host: Host, kind: ManifestKind<W, M>, { key, textIn }: { key: DiskKey; textIn: ReadText }) {
    this.#host = host;
    this.#kind = kind;
    this.#key = key;
    this.#textIn = textIn;
  }

  /**
   * Looks in the given directories, then where a found manifest says that its twin is. A switch counts as written only where every manifest
   * that there is says so: it lets the guest go only after all were written.
   * @throws UserError if one cannot be read or trusted, or the two do not belong together
   */
  async read(directories: Iterable<string>): Promise<TwoSided<W, M> | undefined> {
    for (const directory of new Set(directories)) {
      const found = await this.#readIn(directory);
      if (found) return (await this.#bothSides(found)) ?? (await this.#stray(directory, found));
    }
    return undefined;
  }

  /** Found, and at neither of its places: another run has ended it meanwhile, or somebody has moved the manifest. */
  async #stray(directory: string, { manifest }: Read<W, M>): Promise<undefined> {
    if (!(await this.#readIn(directory))) return undefined;
    const { source, destination } = this.#kind.paths(manifest, this.#key);
    const path = within(directory, fileNames.manifest(this.#key));
    return refuseStray(this.#continued, { disk: manifest.disk, path, places: [source, destination] });
  }

  async #bothSides(found: Read<W, M>): Promise<TwoSided<W, M> | undefined> {
    const paths = this.#kind.paths(found.manifest, this.#key);
    const [source, destination] = await Promise.all([paths.source, paths.destination].map((path) => this.#readIn(directoryOf(path))));
    const one = source ?? destination;
    if (!one) return undefined;
    await this.#checkHomes({ source, destination }, paths, one.manifest);
    const cut = source?.cut ?? destination?.cut ?? found.cut;
    const unfinished = cut === undefined ? {} : { cut };
    if (!source || !destination) return { manifest: one.manifest, sides: source ? "source" : "destination", ...unfinished };
    this.#checkTwins(source.manifest, destination.manifest, paths);
    const { switchesIn } = this.#kind;
    const isAhead = switchesIn(source.manifest) > switchesIn(destination.manifest);
    const [lower, further] = isAhead ? [destination.manifest, source.manifest] : [source.manifest, destination.manifest];
    const manifest = withLowerOf(lower, further);
    return { manifest, sides: "both", ...(switchesIn(lower) < switchesIn(further) && { further }), ...unfinished };
  }

  async #checkHomes(seen: Record<Side, Read<W, M> | undefined>, paths: Paths, { disk, directories }: M): Promise<void> {
    for (const side of this.#kind.fixed)
      if (seen[side]) await refuseMoved(this.#host, this.#continued.goal, { disk, path: paths[side], home: directories?.[side] });
  }

  #checkTwins(source: M, destination: M, paths: Paths): void {
    const { name, areAlike = () => true } = this.#kind;
    if (source.startedAt === destination.startedAt && areAlike(source, destination)) {
      refuseBroughtBack(this.#continued, { ...source, path: paths.source }, { ...destination, path: paths.destination });
      return;
    }
    throw new UserError(
      `Unable to go on with the ${name} of ${source.disk} on ${this.#host.name}: the manifests ${paths.source} and ${paths.destination} tell of two different ${name}s. ` +
        `Nothing was touched. Take away the one of the ${name} that did not happen, then run \`pulumi up\` again.`,
    );
  }

  async #readIn(directory: string): Promise<Read<W, M> | undefined> {
    const text = await this.#textIn(directory);
    if (text === undefined || !this.#kind.isOf(text)) return undefined;
    const path = within(directory, fileNames.manifest(this.#key));
    const written = await this.#parsed(text, path);
    this.#kind.checkPlace?.(this.#host, written, path);
    return readDecided(this.#host, this.#kind, written);
  }

  async #parsed(text: string, path: string): Promise<W> {
    try {
      return this.#kind.parse(text, path);
    } catch (unreadable) {
      const before = await beforeTorn(this.#host, text, path);
      if (before === undefined) throw unreadable;
      return this.#kind.parse(before, backOf(path));
    }
  }

  get #continued() {
    return { goal: `the ${this.#kind.name}`, hostName: this.#host.name };
  }
}

/** @throws UserError where a switch was cut, and what decides it is not there */
export async function readDecided<W extends Written, M extends Common>(
  host: Host,
  { decidedAs, linkOf }: ManifestKind<W, M>,
  written: W,
): Promise<Read<W, M>> {
  const { disk, current, pending } = written;
  if (typeof current === "string" || !pending) return { manifest: decidedAs(written, "before") };
  const side = await sideOf(host, { disk, current, link: linkOf?.(written) });
  return { manifest: decidedAs(written, side), cut: { written: { ...written, current, pending }, decided: side } };
}

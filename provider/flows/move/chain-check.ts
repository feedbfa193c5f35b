/** Before each step that builds on the chain, and right before a switch: the live chain is the one that the manifest tells of, or nothing is begun. */

import type { GuestProcess, GuestView } from "../../hypervisor/hypervisor.js";
import { disksNamed, disksOf } from "../../reconciler/flow.js";
import { complaint } from "../shared/complaint.js";
import {
  adviceFor,
  type ExpectedChain,
  expectedChain,
  layersAbove,
  liveChain,
  type StrayedChain,
  whyStrayed,
} from "../shared/live-chain.js";
import type { Outcome } from "../shared/outcome.js";
import { imageOf } from "../shared/places.js";
import type { RecordedDisk, Seen, Site } from "../shared/site.js";
import { undoFreeze } from "./managed/undo-freeze.js";
import type { Goal, Step } from "./plan.js";
import { jobsOf, written } from "./steps/chosen.js";

interface Question {
  /** `anew`: the guest is looked at once more, right before the step. */
  look: "anew" | "seen";
  /** A commit works between two layers: what is below them does not concern it, and the way back must stay open. */
  depth: "whole" | "two layers";
  /** `switch`: a job of ours on another chain is called off. */
  kind: "job" | "switch";
}

const questions: Partial<Record<Step["step"], Question>> = {
  freeze: { look: "anew", depth: "whole", kind: "job" },
  "record-frozen": { look: "seen", depth: "whole", kind: "job" },
  copy: { look: "seen", depth: "whole", kind: "job" },
  "start-mirror": { look: "anew", depth: "whole", kind: "job" },
  collapse: { look: "anew", depth: "whole", kind: "job" },
  fold: { look: "anew", depth: "two layers", kind: "job" },
  pivot: { look: "anew", depth: "whole", kind: "switch" },
  "switch-collapsed": { look: "anew", depth: "whole", kind: "switch" },
  "switch-folded": { look: "anew", depth: "two layers", kind: "switch" },
};

/** A disk whose live chain is not the expected one. */
interface Strayed extends StrayedChain {
  disk: RecordedDisk;
}

export class ChainCheck {
  readonly #site: Site;
  readonly #outcome: Outcome;

  constructor(site: Site, outcome: Outcome) {
    this.#site = site;
    this.#outcome = outcome;
  }

  /**
   * @returns `undone` where a freeze has come together with somebody's snapshot and was undone, as was wanted anyway
   * @throws UserError if a chain is another one: nothing is begun
   */
  async before(step: Step, seen: Seen, goal: Goal): Promise<"right" | "undone"> {
    const question = questions[step.step];
    if (!question) return "right";
    const disks = disksNamed(seen, disksOf(step)).map(written);
    const view = question.look === "anew" ? await this.#site.guest.look() : seen.view;
    const [first, ...more] = await this.#strayed(view, disks, question);
    if (!first) return "right";
    if (question.kind === "switch") throw await this.#calledOff([first, ...more]);
    return this.#undone(seen, [first, ...more], goal);
  }

  async #strayed(view: GuestView, disks: readonly RecordedDisk[], { depth }: Question): Promise<Strayed[]> {
    const process = await this.#site.guest.process();
    const found: Strayed[] = [];
    for (const disk of disks) {
      const strayed = await this.#strayedDisk(view, process, disk, depth);
      if (strayed) found.push(strayed);
    }
    return found;
  }

  async #strayedDisk(
    view: GuestView,
    process: GuestProcess | undefined,
    disk: RecordedDisk,
    depth: Question["depth"],
  ): Promise<Strayed | undefined> {
    const device = view.disks.find(({ qdev }) => qdev === disk.qdev);
    const image = device ? imageOf(this.#site, disk.disk, device) : disk.image;
    const { link } = this.#site.options;
    const live = { ...(await liveChain(this.#site.host, image, process)), ...(link !== undefined && { link }) };
    const whole = expectedChain(disk.manifest, disk.standing);
    const expected: ExpectedChain = depth === "whole" ? whole : { layers: whole.layers.slice(0, 2), below: "unknown" };
    const above = await layersAbove(this.#site.host, live, expected);
    return above === 0 ? undefined : { disk: { ...disk, image }, live, expected, above };
  }

  async #calledOff(strayed: readonly [Strayed, ...Strayed[]]): Promise<Error> {
    await Promise.all(jobsOf(strayed.map(({ disk }) => disk)).map(({ jobId }) => this.#site.guest.cancel(jobId)));
    return this.#complaint(strayed, "switch", "Nothing was switched, and the job was called off.");
  }

  async #undone(seen: Seen, strayed: readonly [Strayed, ...Strayed[]], goal: Goal): Promise<"undone"> {
    const site = this.#site;
    const outcome = this.#outcome;
    const over: Strayed[] = [];
    for (const one of strayed) if (await isOverlayOnTheirs(site, one)) over.push(one);
    const [first, ...more] = over;
    if (!first) throw this.#complaint(strayed, "go on with the move of", "Nothing was started.");
    for (const { disk, live } of over) await undoFreeze({ site, seen, outcome }, disk, live);
    const names = [first, ...more].map(({ live }) => live.layers[1]?.path).join(", ");
    const error = complaint(site, {
      verb: "freeze",
      disk: over.map(({ disk }) => disk.disk).join(", "),
      why: `in the same moment somebody else has put ${names} on top of its image`,
      left: `The freeze was undone: the guest runs on ${names}, which is current, and nothing of the move is left.`,
      tellsCurrent: true,
      advice: adviceFor(1),
    });
    if (goal === "arrive" || over.length < strayed.length) throw error;
    site.run.say("warning", error.message);
    return "undone";
  }

  #complaint([first, ...more]: readonly [Strayed, ...Strayed[]], verb: string, did: string): Error {
    const all = [first, ...more];
    const runsOn = all.map(({ live }) => live.layers[0]?.path).join(", ");
    return complaint(this.#site, {
      verb,
      disk: all.map(({ disk }) => disk.disk).join(", "),
      why: all.map(whyStrayed).join("; "),
      left: `${did} The guest runs on ${runsOn}, which is current, whatever its manifest says.`,
      tellsCurrent: true,
      advice: adviceFor(first.above),
    });
  }
}

/** The overlay on top, and the chain that it froze below what somebody has put between; no layer was copied yet. */
async function isOverlayOnTheirs({ host, guest }: Site, { disk, live }: Strayed): Promise<boolean> {
  if (guest.traits.freezesOnto === "named") return false;
  const { manifest, standing } = disk;
  if (standing !== "overlay" || manifest.layers.some(({ source }) => source === manifest.source.active)) return false;
  const above = await layersAbove(host, live, expectedChain(manifest, "former"));
  const [top] = expectedChain(manifest, "overlay").layers;
  const isOurs = top && (await layersAbove(host, live, { layers: [top], below: "unknown" })) === 0;
  return isOurs === true && above !== undefined && above > 1;
}

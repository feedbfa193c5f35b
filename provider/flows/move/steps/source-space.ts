/** Strategy snapshot: the overlay grows at the source while everything else is copied. Before the guest meets a full disk, the move is undone. */

import { every } from "../../../core/async/every.js";
import { bytesText } from "../../../core/bytes.js";
import { directoryOf } from "../../../core/disk/paths.js";
import { freeBytes } from "../../../host/files.js";
import { complaint } from "../../shared/complaint.js";
import type { Seen, Site } from "../../shared/site.js";

/** Less room than this at the source, and the move is undone: folding back needs room too. */
const floorBytes = 128 * 1024 * 1024;

/** How often it is looked at while a copy goes on. */
const pollSeconds = 2;

export class SourceSpace {
  readonly #low = new AbortController();
  #reason: Error | undefined;

  readonly #site: Site;

  constructor(site: Site) {
    this.#site = site;
  }

  /** Fires when the room has become too little. */
  get low(): AbortSignal {
    return this.#low.signal;
  }

  /** Why the move is undone; undefined as long as there is room. */
  get reason(): Error | undefined {
    return this.#reason;
  }

  async look({ disks }: Seen): Promise<void> {
    for (const { disk, standing, manifest } of disks) {
      if (standing !== "overlay" || !manifest?.overlay || this.#reason) continue;
      const directory = directoryOf(manifest.overlay.path);
      const free = await freeBytes(this.#site.host, directory);
      if (free >= floorBytes) continue;
      const why = `${directory} has only ${bytesText(free)} left for what the guest writes during the move`;
      const left = `The move was undone; the guest goes on on ${manifest.source.active}.`;
      const advice = 'Free space there, or move with strategy "mirror", which needs none at the source.';
      this.#reason = complaint(this.#site, { verb: "move", disk, why, left, advice });
      this.#low.abort();
    }
  }

  /** Looks again and again while `work` goes on. */
  async during<T>(seen: Seen, work: () => Promise<T>): Promise<T> {
    // an unanswered look shows in the work, which talks to the same host
    const callOff = every(this.#site.run.world, pollSeconds, () => void this.look(seen).catch(() => {}));
    try {
      return await work();
    } finally {
      callOff();
    }
  }
}

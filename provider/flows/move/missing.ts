/** A domain that the host does not know by its name: undefined, or only called something else by now. */

import { messageOf } from "../../core/errors.js";
import type { Properties } from "../../core/lifecycle.js";
import type { Site } from "../shared/site.js";
import { moveLeftOnHost } from "./leftover.js";

/**
 * What `read` answers: undefined where the domain is gone; else what was last seen, with its new name as drift.
 * A move that was begun and can end no more is told: its files stay.
 */
export async function seenElsewhere(site: Site, outputs: Properties, places: readonly string[]): Promise<Properties | undefined> {
  const domainId = typeof outputs.domainId === "string" ? outputs.domainId : "";
  const name = await site.guest.nameOf(domainId);
  if (name === undefined) {
    await moveLeftOnHost(site, domainId, places).catch((left: unknown) => site.run.say("warning", messageOf(left)));
    return undefined;
  }
  const drift = `the domain is called "${name}" by now: correct \`domain.libvirt\``;
  site.run.say("warning", `${site.guest.name} on ${site.host.name}: ${drift}.`);
  return { ...outputs, drift };
}

/** What a preview says of a DomainDisk: the move first, then the pull in the chain as the move leaves it. */

import { isUnknown } from "../../core/arguments.js";
import { directoryOf } from "../../core/disk/paths.js";
import type { Properties, Run } from "../../core/lifecycle.js";
import { asDeclared } from "../../flows/move/look/declared.js";
import { chainAfter, endingLine, type LastSeen, planLine } from "../../flows/move/plan-line.js";
import { pullLine } from "../../flows/pull/plan.js";
import { defaultMoveOptions } from "../../flows/shared/options.js";
import { isUnfinished } from "../../flows/shared/status.js";
import { isManaged } from "../../hypervisor/address.js";
import { shownArguments, shownIn } from "./state.js";

/** Nothing is said of what only the update will tell. */
export function tellPlan(olds: Properties, news: Properties, run: Run): void {
  const { chain, status = "settled", phase } = shownIn(olds);
  const { disk, storage, base } = news;
  if (!chain || typeof disk !== "string" || isUnknown([disk, storage, base]) || typeof news.domain === "string") return;
  const { storage: before, base: pulledTo } = asDeclared(shownArguments, olds);
  const isPulled = isUnfinished(status) && isPull({ disk, chain, storage: before, base: pulledTo });
  const seen: LastSeen = isPulled ? { status: "settled", chain } : { status, chain, ...(phase !== undefined && { phase }) };
  const move = typeof storage === "string" ? moveLine(disk, seen, { before, storage, domain: news.domain }) : endingLine(disk, seen);
  if (move !== undefined) run.say("info", move);
  const moved = typeof storage === "string" && move !== undefined ? chainAfter(chain, storage) : chain;
  const pull = typeof base === "string" ? pullLine(disk, moved, base) : isPulled ? `plan: ${disk}: end the pull that was begun` : undefined;
  if (pull !== undefined) run.say("info", pull);
}

interface Declared {
  before: unknown;
  storage: string;
  domain: unknown;
}

function moveLine(disk: string, seen: LastSeen, { before, storage, domain }: Declared): string | undefined {
  return planLine({
    disks: [{ disk, seen }],
    before: typeof before === "string" ? before : undefined,
    destination: storage,
    options: defaultMoveOptions,
    by: isManaged(domain) ? "libvirt" : "qemu",
  });
}

/** Whether what was begun is a pull: it comes after the move, and until it ends the declared layer lies deeper. */
function isPull({ disk, chain, storage, base }: { disk: string; chain: LastSeen["chain"]; storage: unknown; base: unknown }): boolean {
  if (typeof base !== "string" || pullLine(disk, chain, base) === undefined) return false;
  return typeof storage !== "string" || directoryOf(chain[0]?.path ?? "") === storage;
}

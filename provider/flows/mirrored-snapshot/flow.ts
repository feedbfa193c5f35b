/** A mirrored snapshot as data for the one loop. */

import { jobNames } from "../../core/disk/names.js";
import { directoryOf } from "../../core/disk/paths.js";
import type { UserError } from "../../core/errors.js";
import { writeSnapshotRecords } from "../../journal/snapshot-records.js";
import { currentOf, type Deeds, diskNamed, disksNamed, type Flow } from "../../reconciler/flow.js";
import { type DiskPlaces, withPlaces } from "../../reconciler/held-places.js";
import { JobSupervisor } from "../../reconciler/job-supervisor.js";
import { reconcile } from "../../reconciler/loop.js";
import type { Outcome } from "../shared/outcome.js";
import { existing } from "../shared/places.js";
import { checkAlone } from "../shared/preflight.js";
import { endSharedLook } from "../shared/shared-look.js";
import { finalize } from "../shared/switch.js";
import { begin } from "./begin.js";
import { checkChains } from "./chain-check.js";
import { endSwitch } from "./end-switch.js";
import { clear, drop, setBack, tidy } from "./endings.js";
import { find, observe, placesOf } from "./observe.js";
import { checkDisks } from "./others.js";
import { pivot } from "./pivot.js";
import { type Goal, nextStep, type Step } from "./plan.js";
import { recorded, refusal, runsOn, type Seen, type SeenDisk, type SnapshotSite } from "./site.js";
import { startMirror, takeSnapshot } from "./taking.js";

interface SnapshotTools {
  site: SnapshotSite;
  goal: Goal;
  outcome: Outcome;
  jobs: JobSupervisor<SeenDisk>;
}

/** Brings the snapshot to what `goal` says, with its places locked. */
export async function settleSnapshot(site: SnapshotSite, goal: Goal, outcome: Outcome): Promise<Seen> {
  endSharedLook(site.host);
  try {
    const lockable = async () => Promise.all((await find(site)).found.map((disk) => lockablePlaces(site, disk)));
    return await withPlaces(site, lockable, (places) => reconcile(site, places, snapshotFlow(site, goal, outcome)));
  } finally {
    endSharedLook(site.host);
  }
}

/** The active image's directory first. */
async function lockablePlaces(site: SnapshotSite, disk: Pick<SeenDisk, "disk" | "key" | "active" | "wanted">): Promise<DiskPlaces> {
  return { disk: disk.disk, key: disk.key, directories: await existing(site.host, placesOf(disk)) };
}

function snapshotFlow(site: SnapshotSite, goal: Goal, outcome: Outcome): Flow<SnapshotTools, Seen, Step> {
  const jobs = new JobSupervisor<SeenDisk>(site, {
    working: new Set(["mirroring"]),
    storageOf: ({ wanted }) => directoryOf(wanted.mirror),
    targets: "kept", // the mirror is the second copy of what the guest has written
    stuck:
      ' Where it still fails then, QEMU has given the mirror up: end the snapshot (`onDelete: "abort"`, then destroy it) and make another, ' +
      "or restart the guest from `current`, after which `up` mirrors again.",
    refuse: (disk, why, more) => refused({ site, goal }, disk, { why, ...more }),
  });
  return {
    tools: { site, goal, outcome, jobs },
    deeds,
    observe: () => observe(site),
    next: ({ disks }) => [nextStep(goal, disks)],
    loading: new Set(["begin", "take-snapshot", "start-mirror"]),
    releasing: new Set(["end-switch", "let-go", "set-back", "cancel"]),
    words: { undoHint: "" },
  };
}

const deeds: Deeds<SnapshotTools, Seen, Step> = {
  stop: async (tools, seen, { disk, why, advice }) => {
    throw refused(tools, diskNamed(seen, disk), { why, advice });
  },
  begin: ({ site }, seen, { disks }) => begin(site, seen, disksNamed(seen, disks)),
  "record-mirror": ({ site }, seen, { disk }) => {
    const { key, manifest } = recorded(diskNamed(seen, disk));
    return writeSnapshotRecords(site.host, key, manifest);
  },
  "take-snapshot": async ({ site }, seen, { disks }) => {
    const taken = disksNamed(seen, disks).map(recorded);
    await checkDisks(site, "take the mirrored snapshot of", taken);
    await checkChains(site, taken, "former", "take a mirrored snapshot of");
    await takeSnapshot(site, taken);
  },
  "start-mirror": async ({ site, jobs }, seen, { disk: name }) => {
    const disk = recorded(diskNamed(seen, name));
    await checkDisks(site, "mirror", [disk]);
    await checkChains(site, [disk], "file", "mirror");
    checkAlone(seen.view, disk.image, (why, advice) => refusal(site, "mirror", name)(why, advice, runsOn(disk.manifest.current)));
    jobs.begins(disk);
    await startMirror(site, seen, disk);
  },
  "continue-mirror": ({ jobs }, seen, { disk }) => jobs.resumeOnce(diskNamed(seen, disk)),
  wait: ({ jobs }, seen, { disks }) => {
    jobs.seeReady(seen.disks);
    return jobs.wait(disksNamed(seen, disks));
  },
  pivot: ({ site, outcome }, seen, { disks }) => pivot(site, seen, disksNamed(seen, disks).map(recorded), outcome),
  "end-switch": ({ site }, seen, { disks }) => endSwitch(site, disksNamed(seen, disks)),
  "let-go": ({ site }, seen, { disks }) =>
    finalize(
      site,
      disksNamed(seen, disks).map(({ key }) => ({ jobId: jobNames.mirror(key) })),
    ),
  /** In a pivot that was cut, the manifests may tell of it in part: they are set back first, as long as both sides hold the same. */
  cancel: async ({ site, jobs }, seen, { disks }) => {
    for (const disk of disksNamed(seen, disks)) if (disk.seen.phase === "pending") await setBack(site, recorded(disk));
    await jobs.cancel(disksNamed(seen, disks));
  },
  dismiss: ({ jobs }, seen, { disk }) => jobs.dismiss(diskNamed(seen, disk)),
  "set-back": ({ site }, seen, { disk }) => setBack(site, recorded(diskNamed(seen, disk))),
  tidy: ({ site }, seen, { disk }) => tidy(site, seen, recorded(diskNamed(seen, disk))),
  drop: ({ site }, seen, { disk }) => drop(site, seen, recorded(diskNamed(seen, disk))),
  clear: ({ site }, seen, { disk }) => clear(site, recorded(diskNamed(seen, disk))),
};

function refused(
  { site, goal }: Pick<SnapshotTools, "site" | "goal">,
  disk: SeenDisk,
  { why, advice, ...more }: { why: string; advice: string; left?: string; tellsCurrent?: boolean },
): UserError {
  const verb = goal === "mirror" ? "make the mirrored snapshot of" : `${goal} the mirrored snapshot of`;
  return refusal(site, verb, disk.disk)(why, advice, { ...(disk.manifest && runsOn(currentOf(disk))), ...more });
}

/** One look at a guest, for everybody who asks together. */

import type { Job } from "../../core/disk/job.js";
import type { World } from "../../core/world.js";
import type { ChainsView, GuestView } from "../hypervisor.js";
import type { QmpSession } from "./client.js";
import { domainIdOf } from "./domain-id.js";
import { readFileName } from "./file-names.js";
import { needsGraph, type Replies, viewDisks } from "./graph.js";
import { QmpRefusal } from "./refusal.js";
import { oncePerSession } from "./remember.js";
import * as replies from "./replies.js";
import type { Channel, Way } from "./sessions.js";

export interface Lookout {
  everything(way: Way): Promise<GuestView>;
  chains(way: Way): Promise<ChainsView>;
}

class Lookouts extends WeakMap<Channel, Lookout> {}

/** The one lookout of a channel. */
export function lookoutOf(channel: Channel, world: World): Lookout {
  const lookouts = world.one(Lookouts);
  const lookout = lookouts.get(channel) ?? newLookout(channel);
  lookouts.set(channel, lookout);
  return lookout;
}

function newLookout(channel: Channel): Lookout {
  const domainIds = new WeakMap<QmpSession, Promise<string>>();
  const chains = (way: Way) => async (session: QmpSession) =>
    lookAtChains(
      session,
      oncePerSession(domainIds, session, () => domainIdOf(session, way)),
    );
  const everything = (way: Way) => async (session: QmpSession) => {
    const [view, jobs] = await Promise.all([chains(way)(session), lookAtJobs(session)]);
    return { ...view, jobs };
  };
  return {
    chains: together((way) => channel.use(way, chains(way))),
    everything: together((way) => channel.use(way, everything(way))),
  };
}

/**
 * `query-jobs` would add only jobs that are on no disk.
 *
 * @host QMP query-block-jobs
 * @for monitor
 * @does asks for the jobs on disks
 * @changes nothing
 * @as QEMU, as the user that it runs as
 * @why each step is chosen by what is seen
 */
export async function lookAtJobs(session: QmpSession): Promise<Job[]> {
  const found = await session.call("query-block-jobs", replies.blockJobs);
  return found.map(({ device, type, status, offset, len, "io-status": ioStatus, error }) => ({
    id: device,
    type,
    status,
    currentProgress: offset,
    totalProgress: len,
    ioStatus,
    ...(error === undefined ? {} : { error }),
  }));
}

/**
 * @host QMP query-status, QMP query-block, QMP query-named-block-nodes
 * @for monitor
 * @does asks for the run state, the disks and the open images
 * @changes nothing
 * @as QEMU, as the user that it runs as
 * @why each step is chosen by what is seen
 */
async function lookAtChains(session: QmpSession, id: Promise<string>): Promise<ChainsView> {
  const [domainId, { status }, drives, nodes] = await Promise.all([
    id,
    session.call("query-status", replies.status),
    session.call("query-block", replies.drives),
    session.call("query-named-block-nodes", replies.nodes, { flat: true }),
  ]);
  return {
    domainId,
    status,
    disks: viewDisks(await withGraph(session, { drives, nodes })),
    nodes: nodes.map((node) => ({ name: node["node-name"], driver: node.drv, file: plainName(node.file) })),
  };
}

/** A node whose layer below was given by name, as `-blockdev` guests do, is reported by a `json:` text (QEMU 7.2). */
function plainName(file: string): string {
  const name = readFileName(file);
  return "path" in name ? name.path : file;
}

/**
 * The graph is a debugging aid ("x-") that QEMU may be told to refuse: asked only where nothing else tells.
 *
 * @host QMP x-debug-query-block-graph
 * @for monitor
 * @does asks which image stands on which
 * @changes nothing
 * @as QEMU, as the user that it runs as
 * @why asked only where nothing else tells it
 */
async function withGraph(session: QmpSession, asked: Replies): Promise<Replies> {
  if (!needsGraph(asked)) return asked;
  try {
    return { ...asked, graph: await session.call("x-debug-query-block-graph", replies.graph) };
  } catch (refusal) {
    if (refusal instanceof QmpRefusal) return asked;
    throw refusal;
  }
}

/**
 * One answer to all who ask before the asking begins; a later question waits for the next answer, so that no answer is older than its question.
 * A run whose worker has ended asks nothing, by another one's session neither.
 */
function together<T>(ask: (way: Way) => Promise<T>): (way: Way) => Promise<T> {
  let current: Promise<unknown> = Promise.resolve();
  let next: Promise<T> | undefined;
  const begin = async (before: Promise<unknown>, way: Way) => {
    await before.catch(() => {});
    await way.host.world.sleep(0); // who asks together has asked by then
    next = undefined;
    return ask(way);
  };
  return async (way) => {
    await way.host.worker();
    if (!next) {
      next = begin(current, way);
      current = next;
    }
    return next;
  };
}

/** What a QEMU can do, by its own introspection: a release's number says nothing about a patched build. */

import type { World } from "../../core/world.js";
import type { QmpSession } from "./client.js";
import type { Monitor } from "./monitor.js";
import { oncePerSession } from "./remember.js";
import { type SchemaReply, schema } from "./replies.js";

/** Every command and argument that is used on a guest. */
const needed: Readonly<Record<string, readonly string[]>> = {
  "blockdev-add": [],
  "blockdev-del": [],
  "blockdev-reopen": [],
  "blockdev-mirror": [
    "copy-mode",
    "filter-node-name",
    "auto-finalize",
    "auto-dismiss",
    "on-source-error",
    "on-target-error",
    "sync",
    "speed",
  ],
  "block-commit": ["base-node", "filter-node-name", "auto-finalize", "auto-dismiss", "on-error", "speed", "top-node"],
  "block-job-set-speed": [],
  "block-stream": ["base-node", "backing-file", "filter-node-name", "on-error", "speed"],
  "job-cancel": [],
  "job-complete": [],
  "job-dismiss": [],
  "job-finalize": [],
  "job-resume": [],
  "query-block-jobs": [],
  "query-named-block-nodes": ["flat"],
  transaction: [],
};

/** Missing commands, and missing arguments as `command.argument`. */
export function missingFrom(schema: SchemaReply): string[] {
  const entities = new Map(schema.map((entity) => [`${entity["meta-type"]} ${entity.name}`, entity]));
  return Object.entries(needed).flatMap(([command, args]) => {
    const found = entities.get(`command ${command}`);
    if (!found) return [command];
    const members = entities.get(`object ${found["arg-type"]}`)?.members ?? [];
    const names = new Set(members.map(({ name }) => name));
    return args.filter((arg) => !names.has(arg)).map((arg) => `${command}.${arg}`);
  });
}

class MissingFeatures extends WeakMap<QmpSession, Promise<readonly string[]>> {}

/**
 * {@link missingFrom}, asked once in a session.
 *
 * @host QMP query-qmp-schema
 * @for monitor
 * @does asks what this QEMU can do
 * @changes nothing
 * @as QEMU, as the user that it runs as
 * @why what this QEMU cannot do is refused before anything is touched
 */
export function missingFeatures(monitor: Monitor, world: World): Promise<readonly string[]> {
  return monitor.use((session) =>
    oncePerSession(world.one(MissingFeatures), session, async () => missingFrom(await session.call("query-qmp-schema", schema))),
  );
}

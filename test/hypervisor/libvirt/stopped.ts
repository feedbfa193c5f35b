/** A move that is asked to stop in its middle. */

import assert from "node:assert/strict";
import { type Properties, Unfinished } from "../../../provider/core/lifecycle.js";
import { storageMigration } from "../../../provider/resources/storage-migration/lifecycle.js";
import { until } from "../../sandbox/command.js";
import { created, Recorder } from "../../storage-migration/stage.js";
import type { LibvirtStage } from "./stage.js";

/** What the state remembers of a run that was stopped as soon as it said this, or as virsh was told this. */
export async function stoppedAt(
  word: string | { told: string },
  stage: LibvirtStage,
  different: Properties,
  before?: Properties,
): Promise<Properties> {
  const run = new Recorder();
  const news = { ...stage.arguments, ...different };
  const going = before
    ? storageMigration.update("id", before, storageMigration.check({}, news).inputs, run)
    : created(storageMigration, news, run);
  const ended = going.then(
    () => assert.fail("It ended before it was stopped."),
    (reason: unknown) => reason,
  );
  const said = async () => (typeof word === "string" ? run.lines : await stage.virshLog.sent());
  const text = typeof word === "string" ? word : word.told;
  await until(
    60,
    async () => ((await said()).some((line) => line.includes(text)) ? true : undefined),
    () => `Nothing says "${text}": ${run.lines.join("; ")}`,
  );
  run.ask();
  const thrown = await ended;
  assert(thrown instanceof Unfinished, String(thrown));
  return thrown.outputs;
}

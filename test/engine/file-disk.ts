/** A "disk" whose reality is a file in the folder REALITY, adapted by our own adapter: for the tests of the engines themselves. */

import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { UserError } from "../../provider/core/errors.js";
import { gone, type Lifecycle, type Properties, type Run, Unfinished } from "../../provider/core/lifecycle.js";
import { adapt } from "../../provider/pulumi/adapter.js";

const fileOf = (name: unknown, ending = "") => join(process.env.REALITY ?? "", `${name}${ending}`);

/** Puts the disk where it shall be, but for what the test asks to go wrong by a file beside it. */
async function reach(inputs: Properties, run: Run): Promise<Properties> {
  run.progress(`${inputs.name} copying 50 %`);
  if (existsSync(fileOf(inputs.name, ".dies"))) process.kill(process.pid, "SIGKILL");
  for (; existsSync(fileOf(inputs.name, ".waits")); await setTimeout(20)) {
    if (run.stop.aborted) throw new Unfinished(fileOf(inputs.name), { phase: "copying" }, new UserError("Unable to go on: stopped."));
  }
  if (existsSync(fileOf(inputs.name, ".fills"))) {
    throw new Unfinished(fileOf(inputs.name), { phase: "copying" }, new UserError("Unable to copy: /path2 is full. Free space."));
  }
  if (existsSync(fileOf(inputs.name, ".refuses"))) throw new UserError("Unable to copy: no permission. Give it.");
  writeFileSync(fileOf(inputs.name), String(inputs.storage));
  return { ...inputs, phase: "finished", actual: inputs.storage };
}

const fileDisk: Lifecycle = {
  check(_olds, news) {
    const failures = news.storage === "" ? [{ property: "storage", reason: "must not be empty" }] : [];
    return { inputs: { format: "qcow2", ...news }, failures };
  },
  diff(_id, olds, news) {
    const replaces = olds.name === news.name ? [] : ["name"];
    const differs = ["storage", "name", "token", "format"].some((key) => olds[key] !== news[key]);
    return { changes: differs ? undefined : olds.phase !== "finished", replaces };
  },
  async create(inputs, run) {
    return { id: fileOf(inputs.name), outputs: await reach(inputs, run) };
  },
  async read(id, outputs) {
    if (!existsSync(id)) return gone;
    const { schemaVersion: _, actual: __, phase = "finished", ...inputs } = outputs;
    const actual = readFileSync(id, "utf8");
    return { id, outputs: { ...outputs, phase, actual }, inputs: { ...inputs, storage: actual } };
  },
  async update(_id, _olds, news, run) {
    return { outputs: await reach(news, run) };
  },
  async delete(id, outputs) {
    writeFileSync(fileOf("deleted"), `${outputs.name}\n`, { flag: "a" });
    rmSync(id, { force: true });
  },
};

export const provider = adapt(fileDisk);

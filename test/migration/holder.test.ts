/** Whether the holder of a lock is known to be gone. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { type Holder, holderIs, newHolder } from "../../provider/journal/holder.js";
import { thisWorld } from "../world.js";

/** As a /proc that hides the processes of other users does it. */
function hidingProcesses<T>(work: () => T): T {
  const original = fs.readFileSync;
  const hiding = (file: fs.PathOrFileDescriptor, ...options: never[]) => {
    if (/^\/proc\/\d+\//.test(String(file))) throw Object.assign(new Error("ENOENT"), { code: "ENOENT" });
    return original(file, ...options);
  };
  fs.readFileSync = hiding as typeof original;
  try {
    return work();
  } finally {
    fs.readFileSync = original;
  }
}

describe("the holder of a lock", () => {
  const ended = (): Holder => ({ ...newHolder(thisWorld), pid: spawnSync("true").pid });

  it("is alive while its process runs", () => assert.equal(holderIs(thisWorld, newHolder(thisWorld)), "alive"));

  it("is gone when there is no such process", () => assert.equal(holderIs(thisWorld, ended()), "gone"));

  it("is gone when its number is another process's by now", () =>
    assert.equal(holderIs(thisWorld, { ...newHolder(thisWorld), born: "1" }), "gone"));

  it("is perhaps alive on another machine", () =>
    assert.equal(holderIs(thisWorld, { ...newHolder(thisWorld), machine: "another" }), "perhaps"));

  it("is perhaps alive where the machine hides its process", () => {
    const holder = newHolder(thisWorld);
    assert.equal(
      hidingProcesses(() => holderIs(thisWorld, holder)),
      "perhaps",
    );
  });

  it("is gone where the machine hides processes, when the kernel knows of none", () => {
    const holder = ended();
    assert.equal(
      hidingProcesses(() => holderIs(thisWorld, holder)),
      "gone",
    );
  });

  it("that could not tell when it was born is perhaps alive", () => {
    const holder = hidingProcesses(() => newHolder(thisWorld));
    assert.equal(holder.born, "");
    assert.equal(holderIs(thisWorld, holder), "perhaps");
  });
});

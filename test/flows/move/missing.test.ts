/** A guest that is not there any more, or does not answer: what was left of a move on its host. */

import assert from "node:assert/strict";
import { fileNames } from "../../../provider/core/disk/names.js";
import { isKind, UnreachableError, UserError } from "../../../provider/core/errors.js";
import { moveLeftOnHost, nothingLeftOnHost } from "../../../provider/flows/move/leftover.js";
import { seenElsewhere } from "../../../provider/flows/move/missing.js";
import { DomainMissing, GuestNotRunning } from "../../../provider/hypervisor/hypervisor.js";
import { writeRecords } from "../../../provider/journal/records.js";
import { key, MoveScene } from "./scene.js";

let scene: MoveScene;

const left = (thrown: unknown) =>
  isKind(thrown, "user") &&
  /Unable to end the move of vda of web.*not ended.*current: .*path1\/disk\.qcow2\. Start the guest from there/.test(thrown.message);

describe("a domain that the host does not know by its name", () => {
  beforeEach(async () => {
    scene = await MoveScene.open();
  });
  afterEach(() => scene[Symbol.asyncDispose]());

  const read = (name: string | undefined) => {
    const nameOf = (uuid: string) => (uuid === "domain" ? name : undefined);
    return seenElsewhere(scene.site({ nameOf }).site, { domainId: "domain", phase: "settled" }, [scene.at("path1")]);
  };

  it("is gone where it has no other name either, and says nothing of a host without a move", async () => {
    assert.deepEqual([await read(undefined), scene.told], [undefined, []]);
  });

  it("is gone, and a move that was left is told", async () => {
    await writeRecords(scene.host, key, await scene.manifest());
    assert.equal(await read(undefined), undefined);
    assert.match(scene.told.join(), /warning: Unable to end the move of vda/);
  });

  it("has drifted where it is called something else by now", async () => {
    const seen = await read("db");
    assert.deepEqual([seen?.phase, seen?.domainId], ["settled", "domain"]);
    assert.match(String(seen?.drift), /the domain is called "db" by now/);
    assert.equal(scene.told.length, 1);
  });
});

describe("a move that was left on a host", () => {
  beforeEach(async () => {
    scene = await MoveScene.open();
    await writeRecords(scene.host, key, await scene.manifest());
  });
  afterEach(() => scene[Symbol.asyncDispose]());

  const places = () => [scene.at("path1"), scene.at("path2")];

  it("is told, and nobody else's", async () => {
    await assert.rejects(moveLeftOnHost(scene.site().site, "domain", places()), left);
    await moveLeftOnHost(scene.site().site, "other", places());
    await moveLeftOnHost(scene.site().site, "domain", []);
  });

  it("is none of a mirrored snapshot's, which has a manifest of that name too", async () => {
    for (const side of ["path1", "path2"]) await scene.write(`${side}/${fileNames.manifest(key)}`, '{ "kind": "mirrored-snapshot", ');
    await moveLeftOnHost(scene.site().site, "domain", places());
  });

  for (const [what, reason] of [
    ["does not run", new GuestNotRunning("off")],
    ["is missing", new DomainMissing("none")],
    ["is silent", new UnreachableError("busy")],
  ] as const)
    it(`is told to a delete whose guest ${what}`, async () => {
      await assert.rejects(nothingLeftOnHost(scene.site().site, "domain", places(), reason), left);
      await nothingLeftOnHost(scene.site().site, "other", places(), reason);
    });

  it("is told by the guest's own answer where it has one", async () => {
    const reason = new UserError("its disk was taken away");
    await assert.rejects(nothingLeftOnHost(scene.site().site, "domain", places(), reason), reason);
  });
});

import assert from "node:assert/strict";
import { missingFrom } from "../../../provider/hypervisor/qemu/features.js";

const commands = [
  "blockdev-add",
  "blockdev-del",
  "block-job-set-speed",
  "job-cancel",
  "job-complete",
  "job-dismiss",
  "job-finalize",
  "job-resume",
  "transaction",
];
const known = [
  ...commands.map((name) => ({ name, "meta-type": "command", "arg-type": "0" })),
  { name: "query-block-jobs", "meta-type": "command", "arg-type": "0" },
  { name: "query-named-block-nodes", "meta-type": "command", "arg-type": "1" },
  { name: "blockdev-mirror", "meta-type": "command", "arg-type": "2" },
  { name: "block-commit", "meta-type": "command", "arg-type": "3" },
  { name: "block-stream", "meta-type": "command", "arg-type": "3" },
  { name: "0", "meta-type": "object", members: [] },
  {
    name: "3",
    "meta-type": "object",
    members: [
      ...["base-node", "top-node", "backing-file", "filter-node-name"],
      ...["auto-finalize", "auto-dismiss", "on-error", "speed"],
    ].map((name) => ({ name })),
  },
  { name: "1", "meta-type": "object", members: [{ name: "flat" }] },
  {
    name: "2",
    "meta-type": "object",
    members: ["job-id", "copy-mode", "filter-node-name", "auto-dismiss", "on-source-error", "on-target-error", "sync", "speed"].map(
      (name) => ({ name }),
    ),
  },
];

describe("the features of a QEMU", () => {
  it("that are missing are named: commands, and arguments by their command", () => {
    assert.deepEqual(missingFrom(known), ["blockdev-reopen", "blockdev-mirror.auto-finalize"]);
  });

  it("are none of an event or object that has a command's name", () => {
    assert.ok(missingFrom([...known, { name: "blockdev-reopen", "meta-type": "event" }]).includes("blockdev-reopen"));
  });
});

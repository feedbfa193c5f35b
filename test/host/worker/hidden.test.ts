/** An account from which the host hides the processes of others: /proc does not even list them (hidepid=2, proc(5)). */

import assert from "node:assert/strict";
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { removeExpected } from "../../../provider/host/worker/changes.js";
import { fileStatus, openFile } from "../../../provider/host/worker/files.js";
import { fileHolders } from "../../../provider/host/worker/holders.js";
import { linkUsers } from "../../../provider/host/worker/link-users.js";
import { failure, localWorker, scratch, withWorkers } from "./harness.js";

const nobody = 65534;
const withHiddenProcesses = 'mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid="$0" --regid="$0" --clear-groups "$@"';
const through = ["unshare", "--mount", "--propagation", "private", "sh", "-c", withHiddenProcesses, String(nobody)];

describe("an account from which the host hides the processes of others", function () {
  withWorkers(this);
  before(function () {
    if (process.getuid?.() !== 0) this.skip(); // to mount
  });

  it("is told that there are some, and does not remove a file that nobody may have open", async () => {
    const folder = await scratch();
    await chmod(folder, 0o777);
    const place = { path: path.join(folder, "image") };
    await writeFile(place.path, "image");
    await openFile(await localWorker(), place);
    const worker = await localWorker({ through });
    const { files, hidden } = await fileHolders(worker, [place]);
    assert.deepEqual(files, [{ open: [], locks: [] }]);
    assert.notEqual(hidden, 0);
    const { identity: expected } = await fileStatus(worker, place);
    const { message } = await failure("open", removeExpected(worker, place, { expected, hidden: "refuse" }));
    assert.match(message, /there are processes that this account cannot look into/);
  });

  it("is told so of the users of a link, too, which another account is not", async () => {
    const folder = await scratch();
    await chmod(folder, 0o755);
    await mkdir(path.join(folder, "images"));
    const link = path.join(folder, "link");
    await symlink("images", link);
    const users = async (worker: Awaited<ReturnType<typeof localWorker>>) =>
      (await linkUsers(worker, { link, moving: [], except: 0 })).areHidden;
    assert.equal(await users(await localWorker({ through })), true);
    assert.equal(await users(await localWorker({ uid: nobody })), false);
  });
});

import assert from "node:assert/strict";
import { readFile, stat, symlink } from "node:fs/promises";
import path from "node:path";
import { hostArgs } from "../../provider/host/target.js";
import { onOwnStage, type Stage } from "../storage-migration/stage.js";
import { connectHost } from "../world.js";
import { type Account, asRoot, ownedByQemu, qemu, qemusCommand, reached } from "./accounts.js";

const title = "an account that may do no more than SECURITY.md says";

/** As SECURITY.md has it, word for word. */
const asQemusUser = "Defaults:deploy runas_default=vm\ndeploy ALL=(vm) NOPASSWD: /usr/bin/sh\n";

describe(title, function () {
  this.timeout(180_000);
  before(function () {
    if (process.getuid?.() !== 0) this.skip(); // accounts, namespaces and a QEMU of another user are root's to make
  });
  const stage = onOwnStage({
    sandboxName: "privileges",
    command: qemusCommand,
    disks: ownedByQemu,
  });

  it("moves a disk as QEMU's own user", () => moves(stage(), { user: "vm" }));

  it("moves a disk as a member of QEMU's group, by a key that may open neither forwardings nor terminals", () =>
    moves(stage(), { user: "deploy", group: "member", keyOptions: "restrict" }));

  it("moves a disk by a sudo rule for QEMU's user, and cannot become root", async () => {
    const account: Account = { user: "deploy", sudoers: asQemusUser };
    await moves(stage(), account, "sudo");
    const host = await reached(stage().sandbox, account, "not-root");
    const { exitStatus } = await (await connectHost(hostArgs.parse(host), {})).run("sudo -n -u root sh -c true");
    assert.notEqual(exitStatus, 0);
  });

  it("moves a disk by a sudo rule for sh as root, and its files stay QEMU's", async () => {
    await moves(stage(), { user: "deploy", sudoers: asRoot }, "sudo");
    const { uid, gid } = await stat(stage().at("path2/old.qcow2"));
    assert.deepEqual({ uid, gid }, { uid: qemu.id, gid: qemu.id });
  });

  it("is refused in words, with nothing touched, where a right is missing", async () => {
    const host = await reached(stage().sandbox, { user: "deploy" }, "nobody");
    const message = await stage().refuses({ host, destination: stage().at("path2") });
    assert.match(message, /may not open it|may not use it/);
  });
});

describe("an account from which the host hides QEMU's process", function () {
  this.timeout(180_000);
  before(function () {
    if (process.getuid?.() !== 0) this.skip(); // as above
  });
  const stage = onOwnStage({
    sandboxName: "hidden",
    command: qemusCommand,
    async disks(at) {
      const [disk] = await ownedByQemu(at);
      await symlink("path1", at("link"));
      return [{ storage: at("path1"), ...disk, through: at("link") }];
    },
  });

  it("is refused a move with a link, which a hidden guest may use; one without a link goes on by QEMU's locks", async () => {
    const account: Account = { user: "deploy", group: "member", others: "hidden" };
    const host = await reached(stage().sandbox, account, "sshd-hidden");
    const message = await stage().refuses({ host, link: stage().at("link") });
    assert.match(message, /the host hides processes from this account \(hidepid\), and one of them may be a guest that uses the link/);
    await moves(stage(), account);
  });
});

describe(title, () => {
  it("has rules that SECURITY.md gives in these very words", async () => {
    const text = await readFile(path.resolve(__dirname, "../../../SECURITY.md"), "utf8");
    for (const rule of [asQemusUser, asRoot, "restrict ssh-ed25519", "chmod -R g+rwX", "umask 007"]) assert(text.includes(rule), rule);
  });
});

async function moves(stage: Stage, account: Account, privilege: "user" | "sudo" = "user"): Promise<void> {
  const host = { ...(await reached(stage.sandbox, account, `sshd-${privilege}`)), privilege };
  const { vda } = await stage.moves({ host, afterwards: "delete" });
  assert.equal(vda?.bootPath, stage.at("path2", "old.qcow2"));
  assert.equal(await stage.operator.activeImage("vda"), stage.at("path2", "old.qcow2"));
  await stage.guest.waitForRecords(5);
  await stage.guest.stop();
  await stage.holdsAll(stage.at("path2", "old.qcow2"));
}

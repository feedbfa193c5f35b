import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { asNobody, failure, host, overSsh } from "./hosts.js";

function mayUseSudo(): boolean {
  try {
    execFileSync("sudo", ["-n", "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

describe("a host with privilege sudo", function () {
  overSsh(this);

  it("runs commands and conversations through sudo", async function () {
    if (!mayUseSudo()) this.skip();
    const { host: there } = await host({ args: { privilege: "sudo" } });
    const script = `id -u; [ -n "$SUDO_USER" ] && echo "by sudo $1"`;
    assert.equal((await there.run(script, ["it's"])).stdout, "0\nby sudo it's\n");
    const talk = await there.open(script, ["too"]);
    assert.equal((await talk.end(5)).stdout, "0\nby sudo too\n");
    assert.equal((await there.worker()).hello.uid, 0);
  });

  it("says which rule is needed where sudo asks for a password", async function () {
    if (process.getuid?.() !== 0) this.skip(); // only root can sign in as root and then be nobody, whom sudo surely refuses
    const { host: there, args } = await host({ settings: asNobody, args: { privilege: "sudo" } });
    const { message } = await failure("user", there.run("id -u"));
    assert.match(message, /^Unable to run commands as root on \S+: `sudo -n sh`: it ended with status 1 and said "sudo: .*password/s);
    assert(message.includes(`\`${args.user} ALL=(root) NOPASSWD: ALL\` in /etc/sudoers.d/livedisk`), message);
    await failure("user", there.open("id -u"));
  });

  it("says so where there is no sudo", async () => {
    const { host: there } = await host({
      settings: { ForceCommand: `PATH=/nowhere; eval "$SSH_ORIGINAL_COMMAND"` },
      args: { privilege: "sudo" },
    });
    assert.match((await failure("user", there.run("id -u"))).message, /sudo.*not found/);
  });
});

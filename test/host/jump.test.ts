import assert from "node:assert/strict";
import { connectHost } from "../world.js";
import { argsFor, cut, failure, hasConnections, overSsh, sshd } from "./hosts.js";

describe("a host behind a jump host", function () {
  overSsh(this);

  it("is reached, and both host keys are checked", async () => {
    const jump = await sshd();
    const target = await sshd();
    const { privilege: _user, ...through } = argsFor(jump);
    const there = await connectHost(argsFor(target, { jump: through }), {});
    assert.equal((await there.run("echo $SSH_CONNECTION | cut -d' ' -f4")).stdout, `${target.port}\n`);
    const wrong = `SHA256:${"A".repeat(43)}`;
    const badJump = await failure("user", connectHost(argsFor(target, { jump: { ...through, hostKey: wrong } }), {}));
    assert(badJump.message.startsWith(`Unable to trust 127.0.0.1:${jump.port}: `));
    const badTarget = await failure("user", connectHost(argsFor(target, { hostKey: wrong, jump: through }), {}));
    assert(badTarget.message.startsWith(`Unable to trust 127.0.0.1:${target.port}: `));
  });

  it("shares the jump host's connection with others, and loses its own when that breaks", async () => {
    const jump = await sshd();
    const targets = [await sshd(), await sshd()];
    const { privilege: _user, ...through } = argsFor(jump);
    const hosts = await Promise.all(targets.map((target) => connectHost(argsFor(target, { jump: through }), {})));
    await hasConnections(jump, 1);
    const waiting = Promise.all(hosts.map((one) => failure("unreachable", one.run("sleep 20"))));
    await cut(jump);
    await waiting;
    for (const one of hosts) assert.equal((await one.run("echo alive")).stdout, "alive\n");
  });

  it("that the jump host cannot or may not reach is an error in words", async () => {
    const jump = await sshd();
    const strict = await sshd({ settings: { AllowTcpForwarding: "no" } });
    const target = await sshd();
    await target.stop();
    for (const one of [jump, strict]) {
      const { privilege: _user, ...through } = argsFor(one);
      const { message } = await failure("unreachable", connectHost(argsFor(target, { jump: through }), {}));
      assert.match(message, /^Unable to reach 127\.0\.0\.1:\d+ through the jump host 127\.0\.0\.1:\d+: .* AllowTcpForwarding\.$/);
    }
  });
});

/** A password is given away, so a host that was never meant to have it must not be able to ask for it. */

import assert from "node:assert/strict";
import { argsFor, failure, overSsh, sshd, undoLater } from "../host/hosts.js";
import { startPasswordServer } from "../host/password-server.js";
import { connectHost } from "../world.js";

describe("a password in the stack's config", function () {
  overSsh(this);

  async function passwordOnly(method: "password" | "keyboard-interactive") {
    const server = await startPasswordServer(method, "not what it is sent");
    undoLater(server.stop);
    return { received: server.received, args: argsFor({ ...(await sshd()), ...server }, { identityFile: undefined }) };
  }

  const line = (port: number, index = 0) =>
    `livedisk:password is not sent to 127.0.0.1:${port}, which livedisk:passwordFor does not name: to let that host have it, ` +
    `run \`pulumi config set --path 'livedisk:passwordFor[${index}]' 127.0.0.1:${port}\`, or add it to its Provider's \`passwordFor\`.`;

  for (const method of ["password", "keyboard-interactive"] as const) {
    it(`is not sent to a host that asks for it by ${method} and is not named for it, and the error has the line that names it`, async () => {
      const { received, args } = await passwordOnly(method);
      const { message } = await failure("user", connectHost(args, { password: "secret word" }));
      assert.deepEqual(received, []);
      assert(message.includes(line(args.port)), message);
      assert.doesNotMatch(message, /secret word/);
    });
  }

  it("is not sent to a host that accepts nothing else of what we have, and the error says what it accepts", async () => {
    const { received, args } = await passwordOnly("password");
    const { identityFile } = await sshd();
    const { message } = await failure("user", connectHost({ ...args, identityFile }, { password: "secret word" }));
    assert.deepEqual(received, []);
    assert(message.includes(`nothing that we have is accepted (it accepts password). ${line(args.port)}`), message);
  });

  it("is not sent to a jump host where only the host behind it is named", async () => {
    const { received, args } = await passwordOnly("password");
    const target = argsFor(await sshd());
    const { privilege: _, ...jump } = args;
    const passwordFor = [`127.0.0.1:${target.port}`];
    const { message } = await failure("user", connectHost({ ...target, jump }, { password: "secret word", passwordFor }));
    assert.deepEqual(received, []);
    assert(message.includes(line(args.port, 1)), message);
  });
});

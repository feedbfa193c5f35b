/** An SSH server that knows one password: a real sshd would check it against the accounts of the machine that runs the tests. */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type AuthContext, Server } from "ssh2";
import { fingerprintOf } from "../../provider/host/known-hosts.js";
import { run } from "../sandbox/command.js";
import { makeFolder } from "../sandbox/folders.js";

export async function startPasswordServer(method: "password" | "keyboard-interactive", password: string) {
  const { path: folder, remove } = await makeFolder("livedisk-password-");
  const key = join(folder, "key");
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
  const server = new Server({ hostKeys: [readFileSync(key)] }, (client) => {
    client.on("authentication", (attempt) => answer(attempt, method, password)).on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The server listens on no port.");
  const publicKey = Buffer.from(readFileSync(`${key}.pub`, "utf8").split(" ")[1] ?? "", "base64");
  const stop = async () => {
    server.close();
    await remove();
  };
  return { port: address.port, hostKeyFingerprint: fingerprintOf(publicKey), stop };
}

function answer(attempt: AuthContext, method: "password" | "keyboard-interactive", password: string): void {
  if (attempt.method === "password" && method === "password" && attempt.password === password) attempt.accept();
  else if (attempt.method === "keyboard-interactive" && method === "keyboard-interactive") {
    attempt.prompt([{ prompt: "Password: ", echo: false }], (answers) =>
      answers[0] === password ? attempt.accept() : attempt.reject([method]),
    );
  } else attempt.reject([method]);
}

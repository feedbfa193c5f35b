/** An SSH server that knows one password: a real sshd would check it against the accounts of the machine that runs the tests. */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type AuthContext, Server } from "ssh2";
import { fingerprintOf } from "../../provider/host/known-hosts.js";
import { run } from "../sandbox/command.js";
import { makeFolder } from "../sandbox/folders.js";

/** It accepts one method only; `received` holds every password that it was sent, right or wrong. */
export async function startPasswordServer(method: "password" | "keyboard-interactive", password: string) {
  const { path: folder, remove } = await makeFolder("livedisk-password-");
  const key = join(folder, "key");
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
  const received: string[] = [];
  const server = new Server({ hostKeys: [readFileSync(key)] }, (client) => {
    client.on("authentication", (attempt) => answer(attempt, { method, password, received })).on("error", () => {});
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
  return { port: address.port, hostKeyFingerprint: fingerprintOf(publicKey), received, stop };
}

interface Expected {
  method: "password" | "keyboard-interactive";
  password: string;
  received: string[];
}

function answer(attempt: AuthContext, { method, password, received }: Expected): void {
  const check = (given = "") => {
    received.push(given);
    if (given === password) attempt.accept();
    else attempt.reject([method]);
  };
  if (attempt.method === "password" && method === "password") check(attempt.password);
  else if (attempt.method === "keyboard-interactive" && method === "keyboard-interactive") {
    attempt.prompt([{ prompt: "Password: ", echo: false }], ([given]) => check(given));
  } else attempt.reject([method]);
}

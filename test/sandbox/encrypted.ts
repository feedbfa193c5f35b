/** Images that QEMU encrypts. */

import { run, until } from "./command.js";

/** What opens them. */
export const passPhrase = "abc";

/**
 * qemu-img measures the machine before it derives a key. On a busy one the measure comes out as nothing (3 of 20 times, and more where
 * guests run), and it gives up, or it measures for ever: so it is asked until it has done it.
 */
export async function makeEncrypted(format: "luks" | "qcow2", file: string): Promise<void> {
  const [prefix, cipher] = format === "luks" ? ["", ""] : ["encrypt.", "encrypt.format=luks,"];
  const options = `${cipher}${prefix}key-secret=s,${prefix}iter-time=10`;
  const args = ["create", "-q", "--object", `secret,id=s,data=${passPhrase}`, "-f", format, "-o", options, file, "8M"];
  let said = "";
  const create = async () => {
    try {
      await run("qemu-img", args, { timeoutSeconds: 15 });
      return true;
    } catch (reason) {
      said = String(reason);
      return undefined;
    }
  };
  await until(90, create, () => said);
}

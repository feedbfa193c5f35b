import assert from "node:assert/strict";
import { findProgram, installMissing, missingPackages } from "./install.js";

describe("what the tests need on this machine", () => {
  it("is nothing more, once all programs are found", () => {
    assert.deepEqual(
      missingPackages(() => "/usr/bin/found"),
      [],
    );
  });

  it("names each package once, however many of its programs are missing", () => {
    const find = (program: string) => (program.startsWith("qemu-") || program === "sshd" ? undefined : "/usr/bin/found");
    assert.deepEqual(missingPackages(find), ["openssh-server", "qemu-system-x86", "qemu-utils"]);
  });

  it("is looked for exactly there where it is named with its path", () => {
    assert.equal(findProgram("/bin/sh"), "/bin/sh");
    assert.equal(findProgram("/no/such/sh"), undefined);
    assert.deepEqual(
      missingPackages((program) => (program === "/usr/bin/python3" ? undefined : program)),
      ["python3"],
    );
  });

  it("is not installed against the user's will; the sentence holds packages and command", async () => {
    const said: string[] = [];
    const refused = installMissing({ install: "refuse", say: (line) => said.push(line) }, ["cpio", "socat"]);
    await assert.rejects(refused, {
      message:
        "Unable to run the tests: these packages are missing: cpio, socat. " +
        'Install what is missing with "sudo apt-get install --no-install-recommends cpio socat", then run the tests again.',
    });
    assert.deepEqual(said, []);
  });

  it("costs nothing when all is there", async () => {
    await installMissing({ install: "refuse", say: assert.fail }, []);
  });
});

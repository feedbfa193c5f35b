import assert from "node:assert/strict";
import { hostArgs, hostIdentity, hostName } from "../../provider/host/target.js";

const fingerprint = `SHA256:${"b".repeat(43)}`;

function complaints(value: unknown): string[] {
  const result = hostArgs.safeParse(value);
  assert(!result.success, "it was accepted");
  return result.error.issues.map(({ message }) => message);
}

describe("the host argument", () => {
  it("has its defaults filled in", () => {
    const args = { address: "db-3", user: "deploy" };
    assert.deepEqual(hostArgs.parse(args), { ...args, port: 22, privilege: "user" });
    assert.deepEqual(hostArgs.parse({ ...args, jump: { address: "gate", user: "me" } }).jump, { address: "gate", user: "me", port: 22 });
  });

  it("takes an IPv6 address and a fingerprint with or without padding", () => {
    for (const hostKey of [fingerprint, `${fingerprint}=`]) hostArgs.parse({ address: "2001:db8::1", user: "u", hostKey });
  });

  const bad: [string, object, RegExp][] = [
    ["no address", { user: "u" }, /^host\.address is missing: give the name or IP address/],
    ["an address with a user", { address: "u@db-3", user: "u" }, /^host\.address is a bare name.*without user@/],
    ["no user", { address: "db-3" }, /^host\.user is missing/],
    ["an empty user", { address: "db-3", user: "" }, /^host\.user is empty/],
    ["a port that is none", { address: "db-3", user: "u", port: 70_000 }, /^host\.port is a whole number from 1 to 65535\.$/],
    ["a port as text", { address: "db-3", user: "u", port: "22" }, /^host\.port is a whole number/],
    ["an MD5 fingerprint", { address: "db-3", user: "u", hostKey: "aa:bb:cc" }, /^host\.hostKey is a fingerprint such as "SHA256:…"/],
    [
      "two ways to check the host key",
      { address: "db-3", user: "u", hostKey: fingerprint, knownHostsFile: "f" },
      /give either `hostKey` or `knownHostsFile`, not both/,
    ],
    ["an unknown argument", { address: "db-3", user: "u", hots: 1 }, /^host has no argument `hots`\.$/],
    [
      "a secret",
      { address: "db-3", user: "u", privateKey: "x" },
      /^host has no argument `privateKey`\. Secrets are no resource arguments: use `pulumi config set --secret/,
    ],
    ["another privilege", { address: "db-3", user: "u", privilege: "root" }, /^host\.privilege is "user" or "sudo"\.$/],
    [
      "a jump of a jump",
      { address: "db-3", user: "u", jump: { address: "a", user: "u", jump: {} } },
      /^host\.jump has no argument `jump`\.$/,
    ],
    ["no object", "db-3" as never, /^host is an object/],
  ];
  for (const [what, value, sentence] of bad) {
    it(`with ${what} is refused in a sentence`, () => {
      const found = complaints(value);
      assert(
        found.some((one) => sentence.test(one)),
        found.join("\n"),
      );
    });
  }

  it("names a host for messages, and the same host however it is reached", () => {
    assert.equal(hostName({ address: "db-3", port: 22 }), "db-3");
    assert.equal(hostName({ address: "db-3", port: 2222 }), "db-3:2222");
    assert.equal(hostName({ address: "2001:db8::1", port: 2222 }), "[2001:db8::1]:2222");
    assert.equal(hostIdentity({ address: "DB-3", port: 22 }), "db-3:22");
  });
});

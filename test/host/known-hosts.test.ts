import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { knownHostName, knownKeys } from "../../provider/host/known-hosts.js";

/** `ssh-ed25519 <base64>` of a key that nobody has the private half of. */
function publicKey(): string {
  const type = Buffer.from("ssh-ed25519");
  const length = (bytes: number) => Buffer.from([0, 0, 0, bytes]);
  return `ssh-ed25519 ${Buffer.concat([length(type.length), type, length(32), randomBytes(32)]).toString("base64")}`;
}

function hashed(name: string): string {
  const salt = randomBytes(20);
  return `|1|${salt.toString("base64")}|${createHmac("sha1", salt).update(name).digest("base64")}`;
}

const key = publicKey();
const found = (text: string, name = "db-3") => knownKeys(text, name).map(({ line, marking }) => `${line} ${marking}`);

describe("a known_hosts", function () {
  this.timeout(30_000);

  const rows: [string, string, string[]][] = [
    ["a hashed name", `${hashed("db-3")} ${key}`, ["1 trusted"]],
    ["another hashed name", `${hashed("db-4")} ${key}`, []],
    ["a hashed name that is revoked", `@revoked ${hashed("db-3")} ${key}`, ["1 revoked"]],
    ["a name that is trusted and then revoked", `db-3 ${key}\n@revoked * ${key}`, ["1 trusted", "2 revoked"]],
    ["a certificate authority", `@cert-authority db-3 ${key}`, []],
    ["a certificate authority with a hashed name", `@cert-authority ${hashed("db-3")} ${key}`, []],
    ["a marker that nobody knows", `@trusted db-3 ${key}`, []],
    ["two markers", `@revoked @cert-authority db-3 ${key}`, []],
    ["a hash of another kind", `|2|c2FsdA==|aGFzaA== ${key}`, []],
    ["a hash without its end", `|1|c2FsdA== ${key}`, []],
    ["a hashed list, which OpenSSH does not know", `${hashed("db-3")},db-4 ${key}`, []],
    ["a type that is not the key's", `db-3 ssh-rsa ${key.split(" ")[1]}`, []],
    ["a key that is cut", `db-3 ssh-ed25519 AAAA`, []],
    ["line ends of another system", `db-3 ${key}\r\n`, ["1 trusted"]],
    ["blanks before the name", `  db-3 ${key}`, ["1 trusted"]],
  ];
  for (const [what, text, expected] of rows)
    it(`with ${what} knows ${expected[0] ?? "nothing"}`, () => assert.deepEqual(found(text), expected));

  it("is read as ssh-keygen reads it", () => {
    const folder = mkdtempSync(join(tmpdir(), "livedisk-known-"));
    const file = join(folder, "known_hosts");
    const name = fc.stringMatching(/^[a-c.]{1,4}$/);
    const pattern = fc.oneof(name, fc.stringMatching(/^!?[a-c.*?]{1,5}$/), name.map(hashed));
    const line = fc.tuple(fc.constantFrom("", "@revoked ", "@cert-authority "), fc.array(pattern, { minLength: 1, maxLength: 3 }));
    try {
      fc.assert(
        fc.property(fc.array(line, { minLength: 1, maxLength: 6 }), name, fc.constantFrom(22, 2222), (lines, address, port) => {
          const text = lines.map(
            ([marker, hosts]) =>
              `${marker}${hosts.some((one) => one.startsWith("|")) ? hosts.find((one) => one.startsWith("|")) : hosts.join(",")} ${key}`,
          );
          writeFileSync(file, `${text.join("\n")}\n`);
          const wanted = knownHostName(address, port);
          const ours = knownKeys(readFileSync(file, "utf8"), wanted).map((known) => known.line);
          assert.deepEqual(
            ours,
            keygenFinds(file, wanted).filter((at) => !text[at - 1]?.startsWith("@cert-authority")),
          );
        }),
        { numRuns: 60 },
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("that is anything at all is read without a crash", () => {
    const piece = fc.constantFrom(
      "@revoked",
      "@",
      "|1|",
      "|",
      "db-3",
      "*",
      "!",
      ",",
      " ",
      "\t",
      "\n",
      "\r",
      "ssh-ed25519",
      "AAAA",
      "=",
      "#",
      key,
      "\0",
      "ü",
    );
    const text = fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: piece, maxLength: 40 }));
    fc.assert(
      fc.property(text, fc.string(), (words, name) => void knownKeys(words, name)),
      { numRuns: 2000 },
    );
  });

  it("with a pattern made of stars is read at once", () => {
    const began = performance.now();
    assert.deepEqual(found(`${"*a".repeat(5000)}b ${key}`, "a".repeat(255)), []);
    assert.deepEqual(found(`${"*".repeat(100_000)} ${key}`, "a".repeat(255)), ["1 trusted"]);
    assert(performance.now() - began < 2000);
  });
});

/** The lines on which `ssh-keygen -F` finds a name. */
function keygenFinds(file: string, name: string): number[] {
  try {
    const said = execFileSync("ssh-keygen", ["-F", name, "-f", file], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    return [...said.matchAll(/^# Host .* found: line (\d+)/gm)].map(([, line]) => Number(line));
  } catch {
    return [];
  }
}

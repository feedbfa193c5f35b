import assert from "node:assert/strict";
import fc from "fast-check";
import { isKind } from "../../../provider/core/errors.js";
import { MessageCutter, maxMessageBytes } from "../../../provider/hypervisor/qemu/framing.js";
import { readMessage } from "../../../provider/hypervisor/qemu/messages.js";

const message = fc.oneof(
  fc.dictionary(fc.string(), fc.jsonValue()),
  fc.record({ return: fc.jsonValue(), id: fc.nat() }),
  fc.record({ event: fc.string({ unit: "binary" }) }),
);

/** As a monitor writes it: on one line, or with `pretty=on`. */
const written = fc.tuple(message, fc.boolean(), fc.constantFrom("\n", "\r\n")).map(([said, pretty, end]) => {
  const text = JSON.stringify(said, null, pretty ? 4 : 0);
  return { said, text: text.replaceAll("\n", end) + end };
});

/** Where a stream of bytes is cut into chunks. */
function chunks(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return places.slice(1).map((place, index) => bytes.subarray(places[index], place));
}

describe("the framing of QMP", function () {
  this.timeout(30_000);

  it("gives the same messages wherever the bytes are cut, pretty or not", () => {
    fc.assert(
      fc.property(fc.array(written, { maxLength: 6 }), fc.array(fc.nat(), { maxLength: 20 }), (all, cuts) => {
        const cutter = new MessageCutter();
        const read = chunks(Buffer.from(all.map(({ text }) => text).join("")), cuts).flatMap((chunk) => cutter.push(chunk));
        assert.deepEqual(
          read.map((text) => JSON.parse(text)),
          all.map(({ said }) => JSON.parse(JSON.stringify(said))),
        );
      }),
      { numRuns: 400 },
    );
  });

  it("reads garbage as something else, and never throws on it", () => {
    const line = fc.oneof(
      fc.uint8Array(),
      fc.json().map((text) => Buffer.from(text)),
      fc.constantFrom(...["{", "}", '{"id":', "nul", "[[["].map((text) => Buffer.from(text))),
    );
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const cutter = new MessageCutter();
        for (const bytes of lines)
          for (const text of cutter.push(Buffer.concat([bytes, Buffer.from("\n")]))) assert(readMessage(text).says);
      }),
      { numRuns: 400 },
    );
  });

  for (const [what, chunk] of [
    ["without an end", Buffer.alloc(2 ** 20, 0x20)],
    ["of short lines that never close", Buffer.from("{\n".padEnd(2 ** 20, ' "a": 1,\n'))],
  ] as const) {
    it(`gives up on a message ${what}, and keeps no more of it than is allowed`, () => {
      const cutter = new MessageCutter();
      let taken = 0;
      const take = () => {
        for (; taken < 2 ** 30; taken += chunk.length) cutter.push(chunk);
      };
      assert.throws(take, (thrown) => isKind(thrown, "unreachable") && /more than 64 MiB/.test(String(thrown)));
      assert(taken <= maxMessageBytes, `${taken} bytes were taken`);
    });
  }

  it("reads nesting without end as something else, or as an answer that is then refused", () => {
    const deep = "[".repeat(5_000_000);
    assert.equal(readMessage(deep).says, "something else");
    assert.equal(readMessage(`${deep}${"]".repeat(5_000_000)}`).says, "something else");
    assert.equal(readMessage(`{"id":1,"return":${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}}`).says, "answer");
  });
});

import assert from "node:assert/strict";
import fc from "fast-check";
import { isKind } from "../../../provider/core/errors.js";
import { escaped } from "../../../provider/core/xml-text.js";
import { diskXmlAt } from "../../../provider/hypervisor/libvirt/disk-xml.js";
import { readDomain } from "../../../provider/hypervisor/libvirt/domain-xml.js";
import { type Element, parseXml, xmlText } from "../../../provider/hypervisor/libvirt/xml.js";

const inWords = (thrown: unknown) => isKind(thrown, "bug") && !/\n|undefined|\[object/.test(String(thrown));

/** What XML 1.0 may hold in texts; blanks at the ends and line breaks are the reader's to normalise. */
const text = fc
  .string({ unit: fc.constantFrom(..."<>&\"' ;#xaü€😀]]>--", "\n", "\t", "\r", "&lt;", "&#10;", "&amp;amp;", "<!--", "<![CDATA[") })
  .map((words) => words.trim());
const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);

const element: fc.Arbitrary<Element> = fc.letrec<{ element: Element }>((tie) => ({
  element: fc.record({
    name,
    attributes: fc.dictionary(name, text, { maxKeys: 3 }),
    children: fc.oneof({ maxDepth: 4 }, fc.constant([]), fc.array(tie("element"), { maxLength: 3 })),
    text: fc.constant(""),
  }),
})).element;

describe("libvirt's XML", function () {
  this.timeout(30_000);

  it("of a disk at another source names no layers below, unless the whole chain is given", () => {
    const disk = "<disk type='file'><driver type='raw'/><source file='/a'/><backingStore/><target dev='vda'/></disk>";
    const domain = readDomain(`<domain><name>web</name><uuid>u</uuid><devices>${disk}</devices></domain>`);
    assert(!diskXmlAt(domain, "vda", { path: "/o", format: "qcow2" })?.includes("backingStore"));
    const whole = diskXmlAt(domain, "vda", { path: "/o", format: "qcow2", below: [{ path: "/t&", format: "qcow2" }] }) ?? "";
    const [found] = readDomain(`<domain><name>web</name><uuid>u</uuid><devices>${whole}</devices></domain>`).disks;
    assert.deepEqual(found?.source, { kind: "file", path: "/o", format: "qcow2" });
    assert.deepEqual(found.below, [{ path: "/t&", format: "qcow2" }]);
  });

  it("comes back from its own text, whatever its attributes hold", () => {
    fc.assert(
      fc.property(element, (tree) => assert.deepEqual(plain(parseXml(xmlText(tree), "it")), plain(tree))),
      { numRuns: 300 },
    );
  });

  it("comes back from its own text, whatever stands between its tags", () => {
    fc.assert(
      fc.property(text, (words) => assert.equal(parseXml(`<a>${escaped(words)}</a>`, "it").text, words)),
      { numRuns: 300 },
    );
  });

  it("that is anything at all is read, or refused in words", () => {
    const piece = fc.constantFrom(
      "<",
      ">",
      "/",
      "a",
      "b='",
      "'",
      '"',
      "&",
      "&x;",
      "&#x110000;",
      "&#99999999999;",
      "<a>",
      "</a>",
      "<?xml?>",
      "<!--",
      "-->",
      "<![CDATA[",
      "]]>",
      " ",
      "\0",
      "__proto__",
      "<constructor/>",
    );
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: piece })), (words) => {
        for (const read of [() => parseXml(words, "it"), () => parseXml(`<a>${words}</a>`, "it"), () => readDomain(words)]) {
          try {
            read();
          } catch (thrown) {
            assert(inWords(thrown), thrown instanceof Error ? (thrown.stack ?? "") : String(thrown));
          }
        }
      }),
      { numRuns: 1000 },
    );
  });

  const bomb = `${Array.from({ length: 9 }, (_, at) => `<!ENTITY l${at + 1} "${`&l${at};`.repeat(10)}">`).join("")}`;
  for (const [what, words] of Object.entries({
    "an entity bomb": `<!DOCTYPE a [<!ENTITY l0 "lol">${bomb}]><a>&l9;</a>`,
    "a document type": "<!doctype html><a/>",
    "an external entity": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/shadow">]><a>&x;</a>',
    "a document type behind a comment": "<!-- x --><!DOCTYPE a><a/>",
    "nesting without end": `${"<a>".repeat(200_000)}${"</a>".repeat(200_000)}`,
    "nesting that never closes": "<a>".repeat(200_000),
    "a number that is no character": "<a>&#x110000;</a>",
    "half of a character": "<a b='&#xD800;'/>",
    "the character NUL": "<a>&#0;</a>",
    "two roots": "<a/><b/>",
    "a tag that is not closed": "<a><b></a>",
    "an attribute that is given twice": "<a b='1' b='2'/>",
    "an attribute without quotes": "<a b=1/>",
    "text before the first tag": "error: <a/>",
    "names of an object's own": "<a __proto__='x' constructor='y'><__proto__><b/></__proto__></a>",
    nothing: "",
  })) {
    it(`is refused in words for ${what}, at once`, () => {
      const began = performance.now();
      assert.throws(
        () => parseXml(words, "the XML of web"),
        (thrown) => inWords(thrown) && /Unable to read the XML of web/.test(String(thrown)),
      );
      assert(performance.now() - began < 5000);
    });
  }

  it("does not expand entities that it does not know", () => {
    assert.equal(parseXml("<a>&l9;&amp;lt;</a>", "it").text, "&l9;&lt;");
  });

  it("cannot reach the prototypes of objects", () => {
    assert.throws(() => parseXml("<a __proto__='x'><__proto__><b/></__proto__></a>", "it"), inWords);
    assert.equal(({} as Record<string, unknown>).b, undefined);
  });
});

/** Without the text of elements that have children, which is blanks at most. */
function plain({ name: tag, attributes, children }: Element): unknown {
  return { tag, attributes: { ...attributes }, children: children.map(plain) };
}

/** libvirt's XML as a tree of elements, and back. The only file that knows the parser. */

import { XMLParser, XMLValidator } from "fast-xml-parser";
import { BugError } from "../../core/errors.js";
import { escaped } from "../../core/xml-text.js";

export interface Element {
  name: string;
  attributes: Readonly<Record<string, string>>;
  children: readonly Element[];
  /** What stands between its tags, without that of its children. */
  text: string;
}

const attributesKey = ":@";
const prefix = "@";

/** Far more than any domain of libvirt's has: a chain nests one level for each layer. */
const deepest = 1000;

/** Entities are not expanded by the parser: the five that XML itself has, and numbers, are by {@link plain}. */
const parser = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: prefix,
  processEntities: false,
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
  ignoreDeclaration: true,
  ignorePiTags: true,
  maxNestedTags: deepest, // 100 by default
});

/** @throws BugError if it is malformed, is not one element, nests without end, or declares a document type: libvirt writes none, and one may declare entities without end */
export function parseXml(text: string, what: string): Element {
  const refuse = (why: string, cause?: unknown) =>
    new BugError(`Unable to read ${what}: ${why}.`, cause === undefined ? undefined : { cause });
  if (/<!(DOCTYPE|ENTITY)/i.test(text)) throw refuse("it declares a document type");
  // the parser itself reads an unclosed tag, and drops what stands before the first
  const verdict = XMLValidator.validate(text);
  if (verdict !== true) throw refuse(`it is not XML, or none that libvirt would write (line ${verdict.err.line})`);
  let elements: Element[];
  try {
    elements = elementsIn(parser.parse(text), 0);
  } catch (cause) {
    throw refuse("it is not XML, or none that libvirt would write", cause);
  }
  const [root, ...others] = elements;
  if (!root || others.length > 0) throw refuse("it is not one element");
  return root;
}

/** The parser's ordered form: a list of `{ name: children, ":@": attributes }` and `{ "#text": text }`. */
function elementsIn(nodes: unknown, depth: number): Element[] {
  if (depth > deepest) throw new Error(`it nests more than ${deepest} elements`);
  return records(nodes).flatMap((node) => {
    const name = Object.keys(node).find((key) => key !== attributesKey);
    if (name === undefined || name.startsWith("#")) return [];
    return [{ name, attributes: attributesOf(node[attributesKey]), children: elementsIn(node[name], depth + 1), text: textIn(node[name]) }];
  });
}

function textIn(nodes: unknown): string {
  return plain(
    records(nodes)
      .map((node) => ("#text" in node ? String(node["#text"]) : ""))
      .join(""),
  );
}

function attributesOf(bag: unknown): Record<string, string> {
  const entries = typeof bag === "object" && bag !== null ? Object.entries(bag) : [];
  return Object.fromEntries(entries.map(([name, value]) => [name.slice(prefix.length), plain(String(value))]));
}

function records(nodes: unknown): Record<string, unknown>[] {
  return Array.isArray(nodes) ? nodes.filter((node) => typeof node === "object" && node !== null) : [];
}

const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

function plain(text: string): string {
  return text.replace(/&(?:#(\d+)|#x([0-9a-fA-F]+)|(\w+));/g, (whole, decimal, hex, name) => {
    if (name !== undefined) return entities[name] ?? whole;
    return character(Number.parseInt(decimal ?? hex, decimal === undefined ? 16 : 10));
  });
}

/** @throws Error for NUL, halves of characters, and what lies beyond the last one. @see XML 1.0, production 2 */
function character(code: number): string {
  if (code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) throw new Error(`&#${code}; is no character`);
  return String.fromCodePoint(code);
}

export function xmlText({ name, attributes, children, text }: Element): string {
  const inside = [...(text.trim() === "" ? [] : [escaped(text)]), ...children.map(xmlText)].join("");
  const given = Object.entries(attributes).map(([key, value]) => ` ${key}='${escaped(value)}'`);
  return inside === "" ? `<${name}${given.join("")}/>` : `<${name}${given.join("")}>${inside}</${name}>`;
}

export function child({ children }: Element, name: string): Element | undefined {
  return children.find((element) => element.name === name);
}

export function all({ children }: Element, name: string): Element[] {
  return children.filter((element) => element.name === name);
}

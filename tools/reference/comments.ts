/** What the comments in provider/ say of arguments, outputs and words: the same texts that editors show. */

import { readFileSync } from "node:fs";
import path from "node:path";
import ts from "typescript";

const root = path.resolve(__dirname, "../../..");

export interface Written {
  name: string;
  /** The comment's first paragraph, in one line. */
  meaning: string;
  /** The text of its `@default`. */
  default?: string;
  /** The text of its `@deprecated`. */
  deprecated?: string;
  /** The whole comment. */
  comment: string;
  /** What the key is given, for one of an object. */
  value: string;
}

/** @param file below the repository's root */
export function read(file: string): ts.SourceFile {
  return parse(file, readFileSync(path.join(root, file), "utf8"));
}

export function parse(name: string, text: string): ts.SourceFile {
  return ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true);
}

/** The keys of all object literals, each as it is first given. */
export function keysIn(source: ts.SourceFile): Map<string, Written> {
  const found = new Map<string, Written>();
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAssignment(node) && !found.has(node.name.getText())) found.set(node.name.getText(), writtenAt(node));
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** The members of a class or an interface that have a comment, in their order. */
export function membersOf(source: ts.SourceFile, name: string): Written[] {
  const found = source.statements.find(
    (node): node is ts.ClassDeclaration | ts.InterfaceDeclaration =>
      (ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node)) && node.name?.text === name,
  );
  if (!found) throw new Error(`${source.fileName} has no ${name}.`);
  const members = [...found.members].filter((member) => ts.isPropertyDeclaration(member) || ts.isPropertySignature(member));
  return members.map(writtenAt).filter(({ comment }) => comment !== "");
}

/** The words of a type, by the list in its comment. */
export function wordsOf(source: ts.SourceFile, name: string): Written[] {
  const found = source.statements.find((node) => ts.isTypeAliasDeclaration(node) && node.name.text === name);
  if (!found) throw new Error(`${source.fileName} has no type ${name}.`);
  const lines = commentOf(found).matchAll(/^ \* - `([^`]+)`: (.*)\.$/gm);
  return [...lines].map(([comment, word = "", meaning = ""]) => ({ name: word, meaning, comment, value: "" }));
}

function writtenAt(
  node: ts.PropertyAssignment | ts.PropertyDeclaration | ts.PropertySignature | ts.ClassElement | ts.TypeElement,
): Written {
  const [doc] = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc);
  const [paragraph = ""] = (ts.getTextOfJSDocComment(doc?.comment) ?? "").split(/\n\s*\n/);
  const tags = new Map(doc?.tags?.map((tag) => [tag.tagName.text, inOneLine(ts.getTextOfJSDocComment(tag.comment) ?? "")]));
  return {
    name: node.name?.getText() ?? "",
    meaning: inOneLine(paragraph),
    ...optionally("default", tags.get("default")),
    ...optionally("deprecated", tags.get("deprecated")),
    comment: commentOf(node),
    value: ts.isPropertyAssignment(node) ? node.initializer.getText() : "",
  };
}

function commentOf(node: ts.Node): string {
  return ts
    .getJSDocCommentsAndTags(node)
    .map((comment) => comment.getText())
    .join("\n");
}

function optionally<K extends string>(key: K, value: string | undefined): { [key in K]?: string } {
  return value === undefined ? {} : ({ [key]: value } as { [key in K]: string });
}

function inOneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

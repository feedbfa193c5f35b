/** Mutants of the programs for hosts: lines and words of what stands in string templates and is for sh or perl. */

import { spawnSync } from "node:child_process";
import ts from "typescript";
import { applied, type Edit, type Kind } from "./edit.js";
import { isSilent } from "./silent.js";

/** Every place, in the order of the text. Whether the program can still be read by its interpreter: {@link isReadable}. */
export function programEdits(source: ts.SourceFile): Edit[] {
  const found: Edit[] = [];
  const visit = (node: ts.Node): void => {
    if (isSilent(node)) return;
    if (isText(node)) found.push(...words(node), ...lines(node));
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

type Text = ts.TemplateExpression | ts.StringLiteralLike;

function isText(node: ts.Node): node is Text {
  return ts.isTemplateExpression(node) || ts.isStringLiteralLike(node);
}

/** Parts of a line, each with what takes its place. */
const parts: readonly { kind: Kind; part: RegExp; text: string }[] = [
  { kind: "sync", part: / && sync (-- )?"[^"]*"/g, text: "" },
  { kind: "sync", part: / && (exec )?\$\{syncDirectoryOf\([^)]*\)\}/g, text: "" },
  { kind: "sync", part: /,fsync\b/g, text: "" },
  { kind: "sync", part: /flock -n \d+ && /g, text: "" },
  { kind: "check", part: / \|\| (exit|return)( \d+)?(?= *(\n|;|$))/g, text: "" },
  { kind: "condition", part: /(?<=\[ )! (?=-)/g, text: "" },
  { kind: "condition", part: /(?<=\[ [^\]\n]{1,60}) (= )(?=[^\]\n]{1,60} \])/g, text: " != " },
];

function words(node: Text): Edit[] {
  const text = node.getText();
  return parts.flatMap(({ kind, part, text: inserted }) =>
    [...text.matchAll(part)].map(({ 0: whole, index }) => {
      const start = node.getStart() + index;
      return { kind, start, end: start + whole.length, text: inserted };
    }),
  );
}

interface Line {
  text: string;
  start: number;
  end: number;
}

/** Drops one, or lets two neighbours change places; lines of awk in a program of sh, between its single quotes, are left alone. */
function lines(node: Text): Edit[] {
  const own = node.getText().split("\n");
  if (own.length < 4) return [];
  let start = node.getStart();
  let quotes = 0;
  const simple: (Line | undefined)[] = own.slice(0, -1).map((text, index) => {
    const line = { text, start, end: start + text.length };
    start += text.length + 1;
    const isQuoted = quotes % 2 === 1;
    quotes += text.replace(/"[^"]*"|#.*/g, "").split("'").length - 1;
    return index > 0 && !isQuoted && quotes % 2 === 0 && isSimple(text) ? line : undefined;
  });
  return simple.flatMap((line, index) => (line ? [...dropOf(line), ...swapOf(line, simple[index + 1])] : []));
}

/** One command, whole. */
function isSimple(text: string): boolean {
  const line = text.trim().replace(/ # .*$/, "");
  return (
    line !== "" &&
    !/^(#|\}|\)|`|\$\{)|^(if|then|else|elif|fi|do|done|case|esac|while|for|local|trap)\b|;;|[({|\\]$|&&$|\|\|$|\(\)/.test(line)
  );
}

function dropOf({ text, start, end }: Line): Edit[] {
  const kind: Kind | undefined = /\b(f?sync|settle|flock)\b/.test(text)
    ? "sync"
    : /\|\| (exit|return|fail|\{)|\] (\|\||&&)|\bfail\b/.test(text)
      ? "check"
      : undefined;
  return kind === undefined ? [] : [{ kind, start, end: end, text: "" }];
}

function swapOf(first: Line, second: Line | undefined): Edit[] {
  if (!second || indent(first.text) !== indent(second.text) || isUnordered(first.text, second.text)) return [];
  return [{ kind: "steps", start: first.start, end: second.end, text: `${second.text}\n${first.text}` }];
}

/** What runs none of the program's own functions. */
const plain =
  /^\s*(\w+=([^`$]|\$\(\(|\$\{?\w)*$|(shift|export|unset|set|mkdir|rmdir|rm|mv|cat|printf|echo|sync|command|read|sleep|my)\b|\[ |\$)/;

/** A variable is set, of which the neighbour knows nothing, from a word or a sum that the neighbour does not change. */
function isUnordered(...pair: [string, string]): boolean {
  const isApart = (one: string, other: string) => {
    const [, name, value = ""] = /^\s*(\w+)=(\S*|\$\(\([\w\s+*/-]*\)\))$/.exec(one) ?? [];
    if (name === undefined || /\$\(?[\d@*#?!]|`|\$\([^(]/.test(value)) return false; // parameters, a status, what a command says
    if (!plain.test(other)) return false; // a function of the program's may read it
    const read = value.match(/[A-Za-z_]\w*/g) ?? [];
    return [name, ...(value.includes("$") ? read : [])].every((word) => !new RegExp(`\\b${word}\\b`).test(other));
  };
  const [first, second] = pair;
  return !/^\s*(return|exit|exec|break|continue)\b/.test(second) && (isApart(first, second) || isApart(second, first));
}

function indent(text: string): number {
  return text.search(/\S/);
}

/** Whether the interpreter that read the program still reads it: what does not is noticed at once, and tells nothing of the tests. */
export function isReadable(source: ts.SourceFile, edit: Edit): boolean {
  const before = textAt(source, edit.start);
  const after = textAt(ts.createSourceFile(source.fileName, applied(source.text, edit), ts.ScriptTarget.Latest, true), edit.start);
  if (before === undefined || after === undefined) return true;
  const reader = [
    ["sh", "-n"],
    ["perl", "-c"],
  ].find((command) => isReadBy(command, before));
  return reader !== undefined && isReadBy(reader, after);
}

/** The program at an offset, a word in place of each substitution. */
function textAt(source: ts.SourceFile, offset: number): string | undefined {
  let found: string | undefined;
  const visit = (node: ts.Node): void => {
    if (node.getStart() > offset || node.end < offset) return;
    if (ts.isTemplateExpression(node)) found = node.head.text + node.templateSpans.map(({ literal }) => `:${literal.text}`).join("");
    else if (ts.isStringLiteralLike(node)) found = node.text;
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function isReadBy([program = "", ...args]: readonly string[], text: string): boolean {
  return spawnSync(program, args, { input: text, stdio: ["pipe", "ignore", "ignore"] }).status === 0;
}

/** A change of one place of a source, as text. */

import ts from "typescript";

export const kinds = ["check", "condition", "sync", "steps"] as const;

/** `check`: one is dropped. `condition`: an operand is dropped, or a comparison turned round. `sync`: a sync or an awaited call is dropped. `steps`: two neighbours change places. */
export type Kind = (typeof kinds)[number];

export interface Edit {
  kind: Kind;
  /** Offsets in the source's text. */
  start: number;
  end: number;
  /** What stands there then. */
  text: string;
}

export interface Mutant extends Edit {
  /** As `provider/core/errors.ts`. */
  file: string;
  line: number;
  /** What was there and what is there, in one line. */
  diff: string;
}

export function dropped(kind: Kind, node: ts.Node): Edit {
  return replaced(kind, node, "");
}

export function replaced(kind: Kind, node: ts.Node, text: string): Edit {
  return { kind, start: node.getStart(), end: node.end, text };
}

/** Two neighbours, with all that is between them where it was. */
export function swapped(first: ts.Node, second: ts.Node): Edit {
  const between = first.getSourceFile().text.slice(first.end, second.getStart());
  return { kind: "steps", start: first.getStart(), end: second.end, text: `${second.getText()}${between}${first.getText()}` };
}

export function applied(text: string, { start, end, text: inserted }: Edit): string {
  return text.slice(0, start) + inserted + text.slice(end);
}

export function mutantOf(file: string, source: string, edit: Edit): Mutant {
  const line = source.slice(0, edit.start).split("\n").length;
  const [before, after] = [source.slice(edit.start, edit.end), edit.text].map(inOneLine);
  return { ...edit, file, line, diff: after === "" ? `- ${before}` : `- ${before} + ${after}` };
}

function inOneLine(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > 140 ? `${line.slice(0, 137)}…` : line;
}

export function titleOf({ file, line, kind, diff }: Mutant): string {
  return `${file}:${line} ${kind}: ${diff}`;
}

/** Of a call: `take` for `this.place.take(…)`. */
export function calleeName(node: ts.Node): string {
  if (!ts.isCallExpression(node) && !ts.isNewExpression(node)) return "";
  const { expression } = node;
  return ts.isPropertyAccessExpression(expression) ? expression.name.text : expression.getText();
}

/** The call of `x();` and of `await x();`. */
export function callOf(statement: ts.Node): ts.CallExpression | undefined {
  if (!ts.isExpressionStatement(statement)) return undefined;
  const { expression } = statement;
  const inner = ts.isAwaitExpression(expression) ? expression.expression : expression;
  return ts.isCallExpression(inner) ? inner : undefined;
}

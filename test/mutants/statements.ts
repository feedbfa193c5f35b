/** Mutants of the provider's own TypeScript: what can be changed in one file. */

import ts from "typescript";
import { calleeName, callOf, dropped, type Edit, replaced, swapped } from "./edit.js";
import { isInText, isSilent, isUnordered, speaks } from "./silent.js";

/** Every place, in the order of the text. */
export function editsOf(source: ts.SourceFile): Edit[] {
  const found: Edit[] = [];
  const visit = (node: ts.Node): void => {
    if (isSilent(node)) return;
    found.push(...checks(node), ...conditions(node), ...syncs(node), ...swaps(node));
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const checking = /^(check|assert|refuse|require|ensure|verify|expect)/;

/** `if (…) throw …`, `if (…) return …`, `await checkThis(…)`. */
function checks(node: ts.Node): Edit[] {
  if (!isOneOfMany(node)) return [];
  const call = callOf(node);
  if (call) return checking.test(calleeName(call)) ? [dropped("check", node)] : [];
  const isGuard = ts.isIfStatement(node) && !node.elseStatement && leaves(node.thenStatement);
  return isGuard ? [dropped("check", node)] : [];
}

function isOneOfMany({ parent }: ts.Node): boolean {
  return parent !== undefined && (ts.isBlock(parent) || ts.isCaseOrDefaultClause(parent));
}

function leaves(statement: ts.Statement): boolean {
  if (!ts.isBlock(statement)) return ts.isThrowStatement(statement) || ts.isReturnStatement(statement);
  const last = statement.statements.at(-1);
  return last !== undefined && statement.statements.length <= 2 && leaves(last);
}

const opposite: Partial<Record<ts.SyntaxKind, string>> = {
  [ts.SyntaxKind.EqualsEqualsEqualsToken]: "!==",
  [ts.SyntaxKind.ExclamationEqualsEqualsToken]: "===",
  [ts.SyntaxKind.LessThanToken]: ">=",
  [ts.SyntaxKind.LessThanEqualsToken]: ">",
  [ts.SyntaxKind.GreaterThanToken]: "<=",
  [ts.SyntaxKind.GreaterThanEqualsToken]: "<",
};

/** An operand of `&&` or `||`, the sign of a comparison, a `!`. */
function conditions(node: ts.Node): Edit[] {
  if (isInText(node)) return [];
  if (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.ExclamationToken)
    return [replaced("condition", node, node.operand.getText())];
  if (!ts.isBinaryExpression(node)) return [];
  const { left, operatorToken, right } = node;
  if ([ts.SyntaxKind.AmpersandAmpersandToken, ts.SyntaxKind.BarBarToken].includes(operatorToken.kind))
    return [left, right].map((operand) => replaced("condition", node, operand.getText()));
  const sign = opposite[operatorToken.kind];
  return sign === undefined ? [] : [replaced("condition", operatorToken, sign)];
}

/** `await x();`, and a call that speaks of a sync. */
function syncs(node: ts.Node): Edit[] {
  const call = callOf(node);
  if (!call || !isOneOfMany(node) || speaks(call) || checking.test(calleeName(call))) return [];
  if (/^(pause|setImmediate|setTimeout)$/.test(calleeName(call))) return []; // only time passes
  const isAwaited = ts.isExpressionStatement(node) && ts.isAwaitExpression(node.expression);
  return isAwaited || /f?sync/i.test(calleeName(call)) ? [dropped("sync", node)] : [];
}

function swaps(node: ts.Node): Edit[] {
  if (ts.isArrayLiteralExpression(node)) return isUnordered(node) ? [] : neighbours(node.elements, (element) => isNamed(element, node));
  if (ts.isBlock(node) || ts.isCaseOrDefaultClause(node)) return neighbours(node.statements, isStep);
  return [];
}

/** Not so two checks or two looks, nor what is only said or remembered: their order changes nothing, or words. */
function isOrdered(statements: readonly ts.Node[]): boolean {
  const calls = statements.map(callOf);
  if (calls.every((call) => call === undefined || checking.test(calleeName(call)))) return false;
  return statements.some((node) => ts.isExpressionStatement(node) && ts.isAwaitExpression(node.expression));
}

function neighbours<T extends ts.Node>(nodes: ts.NodeArray<T>, isOne: (node: T) => boolean): Edit[] {
  return nodes.slice(1).flatMap((second, index) => {
    const first = nodes[index];
    if (!first || !isOne(first) || !isOne(second) || first.getText() === second.getText()) return [];
    return ts.isStatement(first) && !isOrdered([first, second]) ? [] : [swapped(first, second)];
  });
}

/** A name, or what makes one; of a program's arguments the variables too. Elsewhere two of these are often a pair without an order. */
function isNamed(element: ts.Expression, { parent }: ts.Node): boolean {
  if (ts.isIdentifier(element)) return /^(run|open|done|execute|ask)$/.test(calleeName(parent));
  return ts.isStringLiteralLike(element) || ts.isCallExpression(element) || ts.isTemplateExpression(element);
}

function isStep(statement: ts.Statement): boolean {
  const call = callOf(statement);
  if (call) return !speaks(call);
  return ts.isVariableStatement(statement) && statement.getText().includes(" = await ");
}

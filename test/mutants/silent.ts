/** What is no place for a mutant: types, and texts that only people read. */

import ts from "typescript";
import { calleeName, callOf } from "./edit.js";

const speaking = /^(complaint|progress|say|said|told|log|describe|meta|[A-Za-z]*Error|CommandFailed|QmpRefusal|[a-z]*[cC]omplaint|toJSON)$/;

/** Nothing in it is changed. */
export function isSilent(node: ts.Node): boolean {
  if (ts.isTypeNode(node) || ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return true;
  if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return true;
  return speaks(node);
}

/** Says something to somebody, or makes what is thrown. */
export function speaks(node: ts.Node): boolean {
  return (ts.isCallExpression(node) || ts.isNewExpression(node)) && speaking.test(calleeName(node));
}

/** The same order of elements in these is the same value, or is taken apart by name. */
export function isUnordered(array: ts.ArrayLiteralExpression): boolean {
  const holder = ts.isAsExpression(array.parent) ? array.parent : array;
  const { parent } = holder;
  if (ts.isNewExpression(parent)) return true;
  if (ts.isCallExpression(parent) && /^(all|race|any|allSettled|enum|union|discriminatedUnion|literal)$/.test(calleeName(parent)))
    return true;
  if (ts.isPropertyAccessExpression(parent) || ts.isParenthesizedExpression(parent)) return true;
  if (ts.isForOfStatement(parent)) return registers(parent);
  return ts.isVariableDeclaration(parent) && isOnlyAsked(parent);
}

/** Each element is only a key under which something is kept: a listener of its own, or an entry. */
function registers({ statement, initializer }: ts.ForOfStatement): boolean {
  const inner = ts.isBlock(statement) && statement.statements.length === 1 ? statement.statements[0] : statement;
  const call = inner && callOf(inner);
  if (!call || !ts.isVariableDeclarationList(initializer)) return false;
  const [element] = initializer.declarations;
  const isKept = /^(on|once|off|addListener|removeListener|addEventListener|removeEventListener)$/.test(calleeName(call));
  return isKept && call.arguments[0]?.getText() === element?.name.getText();
}

/** A list of which the file only asks what is in it. */
function isOnlyAsked({ name }: ts.VariableDeclaration): boolean {
  if (!ts.isIdentifier(name)) return true;
  const uses: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && node.text === name.text && node !== name) uses.push(node.parent.getText());
    ts.forEachChild(node, visit);
  };
  visit(name.getSourceFile());
  return uses.length > 0 && uses.every((use) => /^\w+\.(includes|some|every|has)$|^typeof /.test(use));
}

/** Inside a text that is put together. */
export function isInText(node: ts.Node): boolean {
  return ts.findAncestor(node, (above) => (ts.isBlock(above) ? "quit" : ts.isTemplateSpan(above))) !== undefined;
}

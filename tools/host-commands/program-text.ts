/** The text that an expression of ours becomes, as far as the sources tell: programs for hosts are made of constants. */

import ts from "typescript";

/** In the place of what is known at run time only: no source has this character. */
export const unknown = "\uE000";

interface Context {
  /** What is being read already: what refers to itself is unknown. */
  within: readonly ts.Node[];
  /** What a function's parameters are in this call of it. */
  given: ReadonlyMap<ts.Node, string>;
}

export class ProgramTexts {
  constructor(private readonly checker: ts.TypeChecker) {}

  /** Alternatives, and the members of lists, are lines. */
  of(node: ts.Node, { within, given }: Context = { within: [], given: new Map() }): string {
    if (within.includes(node)) return unknown;
    const inner = { within: [...within, node], given };
    const all = (nodes: readonly ts.Node[]) => nodes.map((each) => this.of(each, inner)).join("\n");
    if (ts.isStringLiteralLike(node) || ts.isNumericLiteral(node)) return node.text;
    if (ts.isTemplateExpression(node)) {
      return node.head.text + node.templateSpans.map(({ expression, literal }) => this.of(expression, inner) + literal.text).join("");
    }
    if (ts.isTaggedTemplateExpression(node)) return this.of(node.template, inner);
    if (ts.isBinaryExpression(node)) return this.of(node.left, inner) + this.of(node.right, inner);
    if (ts.isConditionalExpression(node)) return all([node.whenTrue, node.whenFalse]);
    if (ts.isArrayLiteralExpression(node)) return all(node.elements);
    if (ts.isObjectLiteralExpression(node)) return all(node.properties);
    if (ts.isPropertyAssignment(node)) return this.of(node.initializer, inner);
    if (ts.isArrowFunction(node)) return this.of(node.body, inner);
    if (ts.isCallExpression(node)) return this.#called(node, inner);
    if (ts.isElementAccessExpression(node)) return this.of(node.expression, inner);
    if (ts.isReturnStatement(node)) return node.expression ? this.of(node.expression, inner) : "";
    if (ts.isBlock(node)) return all(node.statements.filter(ts.isReturnStatement));
    if (isWrapped(node)) return this.of(node.expression, inner);
    return ts.isIdentifier(node) ? this.#named(node, inner) : unknown;
  }

  /** What a function of ours returns to this; `map` and `join` of a list. */
  #called({ expression, arguments: given }: ts.CallExpression, inner: Context): string {
    if (!ts.isPropertyAccessExpression(expression)) {
      const texts = given.map((each) => this.of(each, inner));
      return this.#applied(expression, texts, inner);
    }
    const list = this.of(expression.expression, inner);
    const [first] = given;
    if (!first) return list;
    if (expression.name.text === "join") return list.replaceAll("\n", this.of(first, inner));
    if (!/^(map|flatMap)$/.test(expression.name.text)) return list;
    return list
      .split("\n")
      .map((each) => this.#applied(first, [each], inner))
      .join("\n");
  }

  #applied(callee: ts.Node, texts: readonly string[], inner: Context): string {
    const named = ts.isIdentifier(callee) ? this.declarationOf(callee) : callee;
    const declaration = named && ts.isVariableDeclaration(named) ? named.initializer : named;
    if (!declaration || !(ts.isFunctionDeclaration(declaration) || ts.isArrowFunction(declaration)) || !declaration.body) return unknown;
    const given = new Map(inner.given);
    for (const [index, parameter] of declaration.parameters.entries()) {
      given.set(parameter, parameter.dotDotDotToken ? texts.slice(index).join("\n") : (texts[index] ?? unknown));
    }
    return this.of(declaration.body, { ...inner, given });
  }

  /** A constant's value, or a parameter's in this call. */
  #named(name: ts.Identifier, inner: Context): string {
    const declaration = this.declarationOf(name);
    if (!declaration) return unknown;
    const isConstant = ts.isVariableDeclaration(declaration) && declaration.initializer && ts.isIdentifier(declaration.name);
    return isConstant && declaration.initializer ? this.of(declaration.initializer, inner) : (inner.given.get(declaration) ?? unknown);
  }

  declarationOf(name: ts.Node): ts.Declaration | undefined {
    const symbol = this.checker.getSymbolAtLocation(name);
    const meant = symbol && symbol.flags & ts.SymbolFlags.Alias ? this.checker.getAliasedSymbol(symbol) : symbol;
    return meant?.valueDeclaration ?? meant?.declarations?.[0];
  }
}

export function isWrapped(
  node: ts.Node,
): node is ts.AwaitExpression | ts.ParenthesizedExpression | ts.SpreadElement | ts.AsExpression | ts.SatisfiesExpression {
  return (
    ts.isAwaitExpression(node) ||
    ts.isParenthesizedExpression(node) ||
    ts.isSpreadElement(node) ||
    ts.isAsExpression(node) ||
    ts.isSatisfiesExpression(node)
  );
}

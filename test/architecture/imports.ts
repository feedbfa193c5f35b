/** What a TypeScript file imports, and what that reaches. Works on texts, so that rules can be tried on files that do not exist. */

import { builtinModules } from "node:module";
import path from "node:path";
import ts from "typescript";

/** File path relative to provider/ → its text. */
export type Sources = ReadonlyMap<string, string>;

export interface Import {
  /** As written. */
  specifier: string;
  /** `type`: gone after compilation. */
  kind: "value" | "type";
  /** For relative imports, the file it means, relative to provider/: `core/disk/chain.ts`. */
  file?: string;
  /** For packages, the package: `@pulumi/pulumi` for all its parts, `node:fs` for `fs/promises` too. */
  package?: string;
}

const known = new Map<string, { text: string; found: readonly Import[] }>();

/** Asked once of each text: a rule goes through all files, and there are many. */
export function importsOf(from: string, text: string): readonly Import[] {
  const before = known.get(from);
  if (before?.text === text) return before.found;
  const found = importsIn(from, text);
  known.set(from, { text, found });
  return found;
}

function importsIn(from: string, text: string): Import[] {
  const found: Import[] = [];
  const add = (specifier: ts.Node | undefined, kind: Import["kind"]) => {
    if (specifier !== undefined && ts.isStringLiteralLike(specifier)) found.push(resolve(from, specifier.text, kind));
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, kindOf(node.importClause));
    else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly ? "type" : "value");
    else if (ts.isExternalModuleReference(node)) add(node.expression, "value");
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, "type");
    else if (ts.isCallExpression(node) && loads(node)) add(node.arguments[0], "value");
    ts.forEachChild(node, visit);
  };
  visit(parse(from, text));
  return found;
}

export function parse(from: string, text: string): ts.SourceFile {
  return ts.createSourceFile(from, text, ts.ScriptTarget.Latest, true);
}

function kindOf(clause: ts.ImportClause | undefined): Import["kind"] {
  if (clause === undefined) return "value";
  const named = clause.namedBindings;
  const onlyTypes = named !== undefined && ts.isNamedImports(named) && named.elements.every((element) => element.isTypeOnly);
  return clause.isTypeOnly || (clause.name === undefined && onlyTypes) ? "type" : "value";
}

/** `import("x")`, `require("x")`, and a require by another name, as `createRequire()` gives one: of our own files, of Node's, of packages that a rule names. */
function loads(call: ts.CallExpression): boolean {
  const [first] = call.arguments;
  if (first === undefined || !ts.isStringLiteralLike(first)) return false;
  return isLoader(call) || /^\.{1,2}\/.*\.js$/.test(first.text) || ruled.test(first.text);
}

const ruled = /^(node:|(ssh2|fast-xml-parser|pulumi-livedisk|@grpc\/[\w-]+|@pulumi\/pulumi)(\/|$))/;

function isLoader({ expression }: ts.CallExpression): boolean {
  return expression.kind === ts.SyntaxKind.ImportKeyword || /^(.*\.)?(require|getBuiltinModule)$/.test(expression.getText());
}

/** Loads of what the text does not name. */
export function unnamedLoads(from: string, text: string): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const [first] = ts.isCallExpression(node) && isLoader(node) ? node.arguments : [];
    if (first && !ts.isStringLiteralLike(first)) found.push(node.getText());
    ts.forEachChild(node, visit);
  };
  visit(parse(from, text));
  return found;
}

function resolve(from: string, specifier: string, kind: Import["kind"]): Import {
  if (specifier.startsWith(".")) {
    const file = path.posix.join(path.posix.dirname(from), specifier).replace(/(\.[jt]s)?$/, ".ts");
    return { specifier, kind, file };
  }
  const parts = specifier.split("/");
  const name = specifier.startsWith("@") ? parts.slice(0, 2).join("/") : (parts[0] ?? specifier);
  return { specifier, kind, package: builtin.has(name) ? `node:${name}` : name };
}

const builtin = new Set(builtinModules);

/** Every import of every file. */
export function allImports(sources: Sources): { from: string; found: Import }[] {
  return [...sources].flatMap(([from, text]) => importsOf(from, text).map((found) => ({ from, found })));
}

/** Files that `start` loads when it runs, itself first, each with the way to it. */
export function reachable(start: string, sources: Sources): Map<string, string[]> {
  const ways = new Map([[start, [start]]]);
  for (const [file, way] of ways) {
    for (const { file: next, kind } of importsOf(file, sources.get(file) ?? "")) {
      if (kind === "value" && next !== undefined && sources.has(next) && !ways.has(next)) ways.set(next, [...way, next]);
    }
  }
  return ways;
}

/**
 * Writes what programs import, dist/provider/index.d.ts, as one file that needs the SDK's types and nothing else. zod's own do not
 * compile without `esModuleInterop` or `skipLibCheck` (4.6.7, locales/index.d.cts), and Pulumi's template sets neither; and in what the
 * compiler writes of a schema its keys' comments are gone, which editors shall show (decisions/0006).
 */

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import ts from "typescript";

const root = path.resolve(__dirname, "../..");
const sources = path.join(root, "provider");
const compiled = path.join(root, "dist/provider");

type Declaration = ts.InterfaceDeclaration | ts.TypeAliasDeclaration | ts.ClassDeclaration;

/** Interfaces and aliases as in the sources, classes as the compiler has declared them. What a schema accepts is written out. */
class Writer {
  readonly #written = new Map<string, { declaration: Declaration; text: string }>();

  constructor(
    readonly checker: ts.TypeChecker,
    readonly exported: readonly ts.Symbol[],
  ) {}

  get text(): string {
    const texts = [...this.#written.values()].map(({ text }) => text);
    return ["/** What programs import. */", 'import * as pulumi from "@pulumi/pulumi";', ...texts, "export {};", ""].join("\n");
  }

  /** With all that it refers to. */
  write(symbol: ts.Symbol): void {
    const declaration = symbol.declarations?.find(isDeclaration);
    if (!declaration?.getSourceFile().fileName.startsWith(sources)) return;
    const there = this.#written.get(symbol.name);
    assert(there === undefined || there.declaration === declaration, `two types are named ${symbol.name}`);
    if (there) return;
    const text = ts.isClassDeclaration(declaration) ? compiledClass(declaration) : this.#inFull(declaration);
    const bare = text.replace(/^export (declare )?/m, "");
    const head = ts.isClassDeclaration(declaration) ? "declare " : "";
    const place = bare.search(/^(class|interface|type) /m);
    const whole = `${bare.slice(0, place)}${this.exported.includes(symbol) ? "export " : ""}${head}${bare.slice(place)}`;
    this.#written.set(symbol.name, { declaration, text: whole });
    if (!this.#isListOfWords(declaration)) this.#follow(declaration);
  }

  /** Such a type is written out, however it is derived. */
  #isListOfWords(declaration: Declaration): boolean {
    const type = this.checker.getTypeAtLocation(declaration);
    return ts.isTypeAliasDeclaration(declaration) && type.isUnion() && type.types.every((word) => word.isStringLiteral());
  }

  #follow(node: ts.Node): void {
    if (isSchemaType(node)) return;
    if (ts.isTypeReferenceNode(node) && ts.isIdentifier(node.typeName)) {
      const symbol = this.checker.getSymbolAtLocation(node.typeName);
      if (symbol) this.write(meant(symbol, this.checker));
    }
    ts.forEachChild(node, (child) => this.#follow(child));
  }

  /** The source's text, with the type in place of each `z.input<…>`. */
  #inFull(declaration: Declaration): string {
    if (this.#isListOfWords(declaration)) {
      const words = this.#accepted(this.checker.getTypeAtLocation(declaration), "");
      return [...commentsOf(declaration, ""), `type ${declaration.name?.text} = ${words};`].join("\n");
    }
    let text = declaration.getText();
    const start = declaration.getStart();
    const schemas: ts.TypeNode[] = [];
    const visit = (node: ts.Node): void => (isSchemaType(node) ? void schemas.push(node) : ts.forEachChild(node, visit));
    visit(declaration);
    for (const node of schemas.reverse()) {
      const accepted = this.#accepted(this.checker.getTypeFromTypeNode(node), "");
      text = `${text.slice(0, node.getStart() - start)}${accepted}${text.slice(node.getEnd() - start)}`;
    }
    return [...commentsOf(declaration, ""), text].join("\n");
  }

  #accepted(type: ts.Type, indent: string): string {
    if (type.isUnion() && type.types.some(isObject)) return type.types.map((member) => this.#accepted(member, indent)).join(" | ");
    const member = type.getNumberIndexType();
    if (member && this.checker.isArrayType(type)) return `Array<${this.#accepted(member, indent)}>`;
    if (!isObject(type))
      return this.checker.typeToString(type, undefined, ts.TypeFormatFlags.NoTruncation | ts.TypeFormatFlags.InTypeAlias);
    const keys = type.getProperties().flatMap((key) => this.#key(key, `${indent}  `));
    return ["{", ...keys, `${indent}}`].join("\n");
  }

  #key(key: ts.Symbol, indent: string): string[] {
    const type = this.checker.getTypeOfSymbol(key);
    const isOptional = (key.flags & ts.SymbolFlags.Optional) !== 0;
    const given = isOptional && type.isUnion() ? this.checker.getNonNullableType(type) : type;
    const comments = (key.declarations ?? []).slice(0, 1).flatMap((declaration) => commentsOf(declaration, indent));
    return [...comments, `${indent}${key.name}${isOptional ? "?" : ""}: ${this.#accepted(given, indent)};`];
  }
}

function meant(name: ts.Symbol, checker: ts.TypeChecker): ts.Symbol {
  return name.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(name) : name;
}

function isDeclaration(node: ts.Declaration): node is Declaration {
  return ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node) || ts.isClassDeclaration(node);
}

function isSchemaType(node: ts.Node): node is ts.TypeReferenceNode {
  return ts.isTypeReferenceNode(node) && node.typeName.getText() === "z.input";
}

function isObject(type: ts.Type): boolean {
  return (type.flags & ts.TypeFlags.Object) !== 0;
}

function commentsOf(node: ts.Node, indent: string): string[] {
  const lines = ts.getJSDocCommentsAndTags(node).flatMap((comment) => comment.getText().split("\n"));
  return lines.map((line) => `${indent}${line.trim().replace(/^\*/, " *")}`);
}

function compiledClass(declaration: ts.ClassDeclaration): string {
  const file = path.join(compiled, path.relative(sources, declaration.getSourceFile().fileName).replace(/\.ts$/, ".d.ts"));
  const parsed = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest, true);
  const found = parsed.statements.find((node) => ts.isClassDeclaration(node) && node.name?.text === declaration.name?.text);
  assert(found, `${file} declares no ${declaration.name?.text}`);
  return [...commentsOf(found, ""), found.getText()].join("\n");
}

function publicTypes(): string {
  const { config } = ts.readConfigFile(path.join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const program = ts.createProgram({ rootNames: [path.join(sources, "index.ts")], options });
  const checker = program.getTypeChecker();
  const file = program.getSourceFile(path.join(sources, "index.ts"));
  const names = checker.getExportsOfModule(checker.getSymbolAtLocation(file ?? assert.fail()) ?? assert.fail());
  const exported = names.map((name) => meant(name, checker));
  const writer = new Writer(checker, exported);
  for (const symbol of exported) writer.write(symbol);
  return writer.text;
}

writeFileSync(path.join(compiled, "index.d.ts"), publicTypes());

/** All that runs on hosts, with its headers, and where the two do not agree. */

import path from "node:path";
import ts from "typescript";
import { pastHeaders } from "./behind.js";
import { type Headed, type Header, headersOf } from "./headers.js";
import { qmpOfGreeting, qmpOfSwitch, virshOfWorker } from "./of-worker.js";
import { ProgramTexts, unknown } from "./program-text.js";
import { programsIn } from "./shell-words.js";
import { type Site, sitesIn } from "./sites.js";

const root = path.resolve(__dirname, "../../..");

export interface Listed extends Header {
  /** Below provider/. */
  file: string;
  /** What the header stands at: a constant, a function, a class. */
  name: string;
}

export interface Listing {
  listed: readonly Listed[];
  /** Sentences. None, where every call has a header and every header is true of its programs' names. */
  problems: readonly string[];
}

/** @param planted files that stand beside the others, by path below provider/ */
export function hostCommands(planted: Readonly<Record<string, string>> = {}): Listing {
  const program = programOf(new Map(Object.entries(planted).map(([file, text]) => [path.join(root, "provider", file), text])));
  const checker = program.getTypeChecker();
  const files = program.getSourceFiles().filter(({ fileName }) => fileName.startsWith(path.join(root, "provider") + path.sep));
  const texts = new ProgramTexts(checker);
  const { sites, handedOn } = sitesIn(files, checker, texts);
  const headed = new Map<ts.Node, Headed>();
  for (const file of files) {
    const visit = (node: ts.Node): void => {
      const own = isNamed(node) ? headersOf(node) : undefined;
      if (own) headed.set(node, own);
      ts.forEachChild(node, visit);
    };
    visit(file);
  }
  const owned = new Map([...headed.keys()].map((owner) => [owner, [] as Site[]]));
  const problems = handedOn.map((node) => `${place(node)}: ${node.getText()} is handed on, so nobody sees what it runs`);
  for (const node of pastHeaders(files, checker)) problems.push(`${place(node)}: ${node.getText()} goes to a host past all headers`);
  for (const site of sites) {
    if (!isWritten(site.kind, texts.of(site.program))) problems.push(`${place(site.call)}: what it runs is known at run time only`);
    const owner = ownerOf(site, texts, headed);
    if (owner) owned.get(owner)?.push(site);
    else
      problems.push(
        `${place(site.call)}: ${site.call.expression.getText().replace(/\s+/g, "")} runs something on a host and has no header`,
      );
  }
  for (const [owner, { headers, lacking }] of headed) {
    const named = headers.flatMap(({ programs }) => programs);
    const wrong = [...lacking, ...disagreements(named, owned.get(owner) ?? [], texts)];
    problems.push(...wrong.map((what) => `${place(owner)}: ${what}`));
  }
  const listed = [...headed].flatMap(([owner, { headers }]) => headers.map((header) => ({ ...header, ...named(owner) })));
  return { listed: listed.sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0)), problems: problems.sort() };
}

function programOf(planted: ReadonlyMap<string, string>): ts.Program {
  const { config } = ts.readConfigFile(path.join(root, "tsconfig.json"), ts.sys.readFile);
  const parsed = ts.parseJsonConfigFileContent({ ...config, include: ["provider"] }, ts.sys, root);
  const options = { ...parsed.options, incremental: false };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (file) => planted.has(file) || fileExists(file);
  host.getSourceFile = (file, ...rest) => {
    const text = planted.get(file);
    return text === undefined ? getSourceFile(file, ...rest) : ts.createSourceFile(file, text, rest[0], true);
  };
  return ts.createProgram({ rootNames: [...parsed.fileNames, ...planted.keys()], options, host });
}

type Named = ts.VariableDeclaration | ts.FunctionDeclaration | ts.MethodDeclaration | ts.ClassDeclaration;

function isNamed(node: ts.Node): node is Named {
  return ts.isVariableDeclaration(node) || ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node) || ts.isClassDeclaration(node);
}

/** The constant that holds the program; where that has no header, the function, method or class around the call. */
function ownerOf({ program, call }: Site, texts: ProgramTexts, headed: ReadonlyMap<ts.Node, Headed>): ts.Node | undefined {
  const name = ts.isElementAccessExpression(program) ? program.expression : program;
  const constant = ts.isIdentifier(name) ? texts.declarationOf(name) : undefined;
  if (constant && headed.has(constant)) return constant;
  for (let around: ts.Node = call; !ts.isSourceFile(around); around = around.parent) if (headed.has(around)) return around;
  return undefined;
}

/** A header's names against the programs that it stands at. */
function disagreements(named: readonly string[], sites: readonly Site[], texts: ProgramTexts): string[] {
  if (sites.length === 0) return ["its header stands at nothing that runs on a host"];
  const started = new Set(sites.flatMap((site) => startedBy(site, texts)));
  const handed = sites.flatMap(({ call }) => call.arguments.map((argument) => texts.of(argument))).join("\n");
  const isThere = (name: string) => {
    const word = name.split(" ").at(-1) ?? "";
    return new RegExp(`(?<![\\w.-])${word.replace(/[^\w-]/g, "\\$&")}(?![\\w-])`).test(handed);
  };
  return [
    ...named.filter((name) => !started.has(name) && !isThere(name)).map((name) => `its header names ${name}, which is not there`),
    ...[...started].filter((name) => !named.includes(name)).map((name) => `its header does not name ${name}, which it runs`),
  ];
}

/** Whether the sources tell a script as a whole, and which commands virsh gets, whose arguments are quoted. */
function isWritten(kind: Site["kind"], text: string): boolean {
  if (kind === "words") return !text.startsWith(unknown);
  if (kind === "virsh") return !text.split("\n").some((line) => line.startsWith(unknown));
  return kind !== "shell" || !text.includes(unknown);
}

function startedBy({ kind, program }: Site, texts: ProgramTexts): string[] {
  const text = texts.of(program);
  switch (kind) {
    case "sshd":
      return ["sshd's forwarding"];
    case "QMP":
      return [`QMP ${text}`];
    case "virsh":
      return [...text.matchAll(/^[a-z]+(-[a-z]+)*/gm)].map(([word]) => `virsh ${word}`);
    case "greeting":
      return qmpOfGreeting();
    case "switch":
      return qmpOfSwitch();
    case "plan":
      return ["virsh", ...virshOfWorker()];
    case "words":
      return text.split("\n", 1).filter((name) => name !== unknown);
    case "shell": {
      const asked = [...text.matchAll(/\b(?:ask|insist) "([a-z-]+)/g)].map(([, word]) => `virsh ${word}`);
      const programs = programsIn(text);
      return [...(programs.length === 0 ? ["sh"] : programs), ...asked];
    }
  }
}

function named(node: ts.Node): { file: string; name: string } {
  const name = isNamed(node) ? node.name?.getText() : undefined;
  return { file: path.relative(path.join(root, "provider"), node.getSourceFile().fileName).split(path.sep).join("/"), name: name ?? "" };
}

function place(node: ts.Node): string {
  const source = node.getSourceFile();
  const { file, name } = named(node);
  return `provider/${file}:${source.getLineAndCharacterOfPosition(node.getStart()).line + 1}${name ? ` ${name}` : ""}`;
}

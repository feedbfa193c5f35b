/** The calls that run something on a host, found by their types: whatever such a method is called by, and whatever passes a program on to it. */

import path from "node:path";
import ts from "typescript";
import { isWrapped, type ProgramTexts } from "./program-text.js";

/**
 * What the program is written for. `sshd`: no program, sshd itself is asked for a stream. `words`: a list, through no shell. `greeting`: what every
 * monitor is told first. Data, which the worker carries out: `plan` by a virsh of its own, `switch` on QEMU's monitor.
 */
type Kind = "shell" | "virsh" | "QMP" | "sshd" | "words" | "greeting" | "plan" | "switch";

interface Runner {
  kind: Kind;
  /** Which argument is the program. */
  at: number;
}

/** Where everything ends that runs on a host: `Container.method`, or a function, by file. Whatever hands its own parameter on to one of these is one too. */
const ends: Readonly<Record<string, Readonly<Record<string, Runner>>>> = {
  "@types/ssh2/index.d.ts": {
    "Client.exec": { kind: "shell", at: 0 },
    "Client.shell": { kind: "shell", at: 0 },
    "Client.subsys": { kind: "sshd", at: 0 },
    "Client.sftp": { kind: "sshd", at: 0 },
    "Client.forwardOut": { kind: "sshd", at: 2 },
    "Client.forwardIn": { kind: "sshd", at: 0 },
    "Client.openssh_forwardOutStreamLocal": { kind: "sshd", at: 0 },
  },
  "provider/host/host.ts": {
    "Host.run": { kind: "shell", at: 0 },
    "Host.open": { kind: "shell", at: 0 },
  },
  "provider/host/worker/libvirt-switching.ts": { runLibvirtSwitch: { kind: "plan", at: 1 } },
  "provider/host/worker/monitors.ts": { openMonitor: { kind: "greeting", at: 1 } },
  "provider/host/worker/programs.ts": { runProgram: { kind: "words", at: 1 }, makeByProgram: { kind: "words", at: 1 } },
  "provider/host/worker/switching.ts": { runSwitch: { kind: "switch", at: 1 }, recoverSwitch: { kind: "switch", at: 1 } },
  "provider/host/script-session.ts": { "ScriptSession.start": { kind: "shell", at: 1 } },
  "provider/hypervisor/libvirt/virsh-session.ts": { "VirshSession.ask": { kind: "virsh", at: 0 } },
  "provider/hypervisor/qemu/client.ts": { "QmpSession.call": { kind: "QMP", at: 0 } },
};

export interface Site {
  kind: Kind;
  call: ts.CallExpression;
  program: ts.Expression;
}

export interface Found {
  sites: readonly Site[];
  /** Such a method that is handed on as a value, so that nobody sees what it is called with. */
  handedOn: readonly ts.Node[];
}

export function sitesIn(files: readonly ts.SourceFile[], checker: ts.TypeChecker, texts: ProgramTexts): Found {
  const calls = files.flatMap((file) => all(file, ts.isCallExpression));
  const runners = new Map<ts.Node, Runner>();
  // only what has one of their names is looked at closely: types take their time
  const names = new Set(Object.values(ends).flatMap((methods) => Object.keys(methods).map((method) => method.split(".").at(-1))));
  const runnerOf = (call: ts.CallExpression): Runner | undefined => {
    if (!names.has(calledName(call.expression))) return undefined;
    const declaration = checker.getResolvedSignature(call)?.declaration;
    return declaration && (runners.get(declaration) ?? endAt(declaration));
  };
  for (let before = -1; before < runners.size; ) {
    before = runners.size;
    for (const call of calls) {
      const runner = runnerOf(call);
      const passing = runner && passes(call.arguments[runner.at], texts);
      if (!passing) continue;
      runners.set(passing.from, { kind: runner.kind, at: passing.at });
      names.add(passing.name);
    }
  }
  const sites = calls.flatMap((call): Site[] => {
    const runner = runnerOf(call);
    const program = runner && call.arguments[runner.at];
    if (!program || passes(program, texts) || (ts.isArrayLiteralExpression(program) && program.elements.length === 0)) return [];
    return [{ kind: runner.kind, call, program }];
  });
  const isCalled = (node: ts.Node) => ts.isCallExpression(node.parent) && node.parent.expression === node;
  const accesses = files
    .flatMap((file) => all(file, ts.isPropertyAccessExpression))
    .filter(({ name }) => names.has(name.text))
    .filter((access) => !isCalled(access) && endAt(texts.declarationOf(access.name)));
  const taken = files
    .flatMap((file) => all(file, ts.isBindingElement))
    .filter((element) => {
      const name = (element.propertyName ?? element.name).getText();
      return names.has(name) && endAt(checker.getTypeAtLocation(element.parent).getProperty(name)?.valueDeclaration);
    });
  const computed = files
    .flatMap((file) => all(file, ts.isElementAccessExpression))
    .filter((access) => {
      const { argumentExpression: key } = access;
      const properties = checker.getTypeAtLocation(access.expression).getProperties();
      const meant = ts.isStringLiteralLike(key) ? properties.filter(({ name }) => name === key.text && !isCalled(access)) : properties;
      return !ts.isNumericLiteral(key) && meant.some(({ valueDeclaration }) => endAt(valueDeclaration));
    });
  return { sites, handedOn: [...accesses, ...taken, ...computed, ...functionsIn(files, texts), ...lookalikes(files, checker)] };
}

/** Types of ours by which a host could be called, and nobody would see that it is one. */
function lookalikes(files: readonly ts.SourceFile[], checker: ts.TypeChecker): ts.Node[] {
  const methods = files.flatMap((file) =>
    all(file, (node): node is ts.SignatureDeclaration => ts.isMethodSignature(node) || ts.isMethodDeclaration(node)),
  );
  const containers = new Set(methods.filter((method) => endAt(method)).map(({ parent }) => parent));
  const names = new Set(methods.filter((method) => endAt(method)).map(({ name }) => name?.getText()));
  const types = [...containers].map((container) => checker.getTypeAtLocation(container));
  return files
    .flatMap((file) =>
      all(file, (node): node is ts.MethodSignature | ts.PropertySignature => ts.isMethodSignature(node) || ts.isPropertySignature(node)),
    )
    .filter((member) => names.has(member.name.getText()) && !endAt(member))
    .filter(({ parent }) => types.some((type) => checker.isTypeAssignableTo(type, checker.getTypeAtLocation(parent))));
}

/** Functions where everything ends, where they are a value and not called. */
function functionsIn(files: readonly ts.SourceFile[], texts: ProgramTexts): ts.Node[] {
  const names = new Set(Object.values(ends).flatMap((each) => Object.keys(each).filter((name) => !name.includes("."))));
  return files
    .flatMap((file) => all(file, ts.isIdentifier))
    .filter((name) => names.has(name.text) && !isDeclaredOrCalled(name) && endAt(texts.declarationOf(name)));
}

/** Also where it is imported under its own name, or asked for its type. */
function isDeclaredOrCalled(name: ts.Identifier): boolean {
  const { parent } = name;
  if (ts.isImportSpecifier(parent)) return parent.propertyName === undefined;
  const called = ts.isPropertyAccessExpression(parent) ? parent : name;
  const isCalled = ts.isCallExpression(called.parent) && called.parent.expression === called;
  return isCalled || ts.isFunctionDeclaration(parent) || ts.isTypeQueryNode(parent);
}

function calledName(called: ts.Expression): string {
  if (ts.isPropertyAccessExpression(called)) return called.name.text;
  if (ts.isElementAccessExpression(called) && ts.isStringLiteralLike(called.argumentExpression)) return called.argumentExpression.text;
  return called.getText();
}

function endAt(declaration: ts.Node | undefined): Runner | undefined {
  if (!declaration || !(ts.isMethodDeclaration(declaration) || ts.isMethodSignature(declaration) || ts.isFunctionDeclaration(declaration)))
    return undefined;
  const { file, name } = placeOf(declaration);
  return Object.entries(ends).find(([end]) => file.endsWith(`/${end}`))?.[1][name];
}

/** A function's file, and its name: `Container.method` of one in a class or an interface. */
export function placeOf(declaration: ts.Node): { file: string; name: string } {
  const { parent } = declaration;
  const container = ts.isClassDeclaration(parent) || ts.isInterfaceDeclaration(parent) ? `${parent.name?.text}.` : "";
  const name = ts.getNameOfDeclaration(declaration as ts.Declaration)?.getText();
  return { file: declaration.getSourceFile().fileName.split(path.sep).join("/"), name: `${container}${name}` };
}

/** The function whose parameter this is, if it is one; also as the only member of a list, or as what a callback returns. */
function passes(program: ts.Expression | undefined, texts: ProgramTexts): { from: ts.Node; name: string; at: number } | undefined {
  if (!program) return undefined;
  if (isWrapped(program)) return passes(program.expression, texts);
  if (ts.isArrayLiteralExpression(program)) return program.elements.length === 1 ? passes(program.elements[0], texts) : undefined;
  if (ts.isCallExpression(program) && ts.isIdentifier(program.expression)) return passes(program.expression, texts);
  const declaration = ts.isIdentifier(program) ? texts.declarationOf(program) : undefined;
  if (!declaration || !ts.isParameter(declaration) || !ts.isIdentifier(declaration.name)) return undefined;
  const from = declaration.parent;
  const holder = ts.isArrowFunction(from) || ts.isFunctionExpression(from) ? from.parent : from;
  const name = ts.getNameOfDeclaration(holder as ts.Declaration)?.getText();
  return name === undefined ? undefined : { from, name, at: from.parameters.indexOf(declaration) };
}

export function all<N extends ts.Node>(within: ts.Node, is: (node: ts.Node) => node is N): N[] {
  const found: N[] = [];
  const visit = (node: ts.Node): void => {
    if (is(node)) found.push(node);
    ts.forEachChild(node, visit);
  };
  visit(within);
  return found;
}

/** What stands behind the ways of sites.ts to a host: each is used in its own place alone, or what it runs would need no header. */

import path from "node:path";
import ts from "typescript";
import { all, placeOf } from "./sites.js";

const worker = "provider/host/worker";

/** `Container.method`, or a function, by file: the files that may use it. */
const behind: Readonly<Record<string, Readonly<Record<string, RegExp>>>> = {
  [`${worker}/worker.ts`]: { "Worker.request": /\/provider\/host\/worker\/[\w-]+\.ts$/ },
  [`${worker}/scripts.ts`]: { runScript: /\/provider\/host\/connection\.ts$/, talkToScript: /\/provider\/host\/conversation\.ts$/ },
  [`${worker}/monitors.ts`]: {
    "WorkerMonitor.execute": /\/provider\/hypervisor\/qemu\/client\.ts$/,
    "WorkerMonitor.query": /\/provider\/hypervisor\/qemu\/client\.ts$/,
  },
};

const names = new Set(Object.values(behind).flatMap((each) => Object.keys(each).map((name) => name.split(".").at(-1) ?? "")));

/** Uses of these elsewhere; a function that is imported by its name is told where that is. */
export function pastHeaders(files: readonly ts.SourceFile[], checker: ts.TypeChecker): ts.Node[] {
  const named = files.flatMap((file) => all(file, ts.isIdentifier)).filter((name) => names.has(name.text) && isUse(name));
  const byText = files.flatMap((file) => all(file, ts.isElementAccessExpression)).map(({ argumentExpression }) => argumentExpression);
  const asked = [...named, ...byText.filter((key) => ts.isStringLiteralLike(key) && names.has(key.text))];
  return asked.filter((name) => {
    const symbol = checker.getSymbolAtLocation(name);
    const meant = symbol && symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    const declaration = meant?.valueDeclaration;
    const allowed = declaration && allowedFor(declaration);
    const here = name.getSourceFile().fileName.split(path.sep).join("/");
    return allowed !== undefined && declaration?.getSourceFile() !== name.getSourceFile() && !allowed.test(here);
  });
}

/** As `x.request`, `{ request }` of it, `import { runScript }`. */
function isUse({ parent }: ts.Identifier): boolean {
  return (
    ts.isPropertyAccessExpression(parent) || ts.isBindingElement(parent) || ts.isImportSpecifier(parent) || ts.isExportSpecifier(parent)
  );
}

function allowedFor(declaration: ts.Node): RegExp | undefined {
  const { file, name } = placeOf(declaration);
  return Object.entries(behind).find(([each]) => file.endsWith(`/${each}`))?.[1][name];
}

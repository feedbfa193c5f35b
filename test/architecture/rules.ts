/** The rules of the layout (design, section 4), as functions from sources to sentences about what breaks them. */

import ts from "typescript";
import { allImports, type Import, importsOf, parse, reachable, type Sources } from "./imports.js";

export type Rule = (sources: Sources) => string[];

/** Each folder may import those before it, and itself. */
const order = ["host", "image", "hypervisor", "migration"];
const resourceFolders = ["domain-disk", "mirrored-snapshot", "storage-migration"];

const folderOf = (file: string) => (file.includes("/") ? (file.split("/")[0] ?? "") : "");
/** Files of which users import the classes: `provider-resource.ts` holds the explicit Provider. */
const isResource = (file: string) => file.endsWith("/resource.ts") || file === "provider-resource.ts";
const isPlan = (file: string) => file.endsWith("/plan.ts");
const isPure = (file: string) => isPlan(file) || folderOf(file) === "disk";

/** Resource folders → migration → hypervisor → image → host; all of them → disk, errors.ts, lifecycle.ts. */
export const arrowsPointDown: Rule = (sources) =>
  allImports(sources)
    .filter(({ from, found }) => found.file !== undefined && !mayImport(from, found.file, found.kind))
    .map(({ from, found }) => `${from} may not import ${found.file}`);

function mayImport(from: string, to: string, kind: Import["kind"]): boolean {
  const [source, target] = [folderOf(from), folderOf(to)];
  if (source !== "" && source === target) return true;
  if (from === "errors.ts") return false;
  if (from === "lifecycle.ts") return to === "host/host.ts" && kind === "type";
  if (from === "dynamic.ts") return to === "errors.ts" || to === "lifecycle.ts" || target === "pulumi" || to.endsWith("/lifecycle.ts");
  if (from === "index.ts") return kind === "type" || isResource(to) || to === "errors.ts";
  if (to === "errors.ts" || target === "disk") return true;
  // how arguments are checked, which the schemas of a host's and a guest's address share
  if (to === "inputs.ts") return kind === "type" && isResource(from);
  if (to === "arguments.ts") return resourceFolders.includes(source) || order.includes(source);
  if (to === "lifecycle.ts") return kind === "type" || source === "pulumi" || resourceFolders.includes(source) || source === "migration";
  if (source === "disk" || source === "pulumi") return kind === "type" && source === "pulumi" && to === "host/host.ts";
  return order.includes(target) && rank(source) > rank(target);
}

function rank(folder: string): number {
  return resourceFolders.includes(folder) ? order.length : order.indexOf(folder);
}

/** Only dynamic.ts joins pulumi/ with the rest. */
export const pulumiIsJoinedOnce: Rule = (sources) =>
  allImports(sources)
    .filter(({ from, found }) => folderOf(found.file ?? "") === "pulumi" && folderOf(from) !== "pulumi" && from !== "dynamic.ts")
    .map(({ from, found }) => `${from} may not import ${found.file}: only dynamic.ts may`);

/** A package that only files for which `allowed` holds may import. */
export function packageOnlyIn(name: string, allowed: (file: string, kind: Import["kind"]) => boolean): Rule {
  return (sources) =>
    allImports(sources)
      .filter(({ from, found }) => found.package !== undefined && matches(found.package, name) && !allowed(from, found.kind))
      .map(({ from, found }) => `${from} may not import ${found.specifier}`);
}

function matches(found: string, name: string): boolean {
  return name.endsWith("/") ? found.startsWith(name) : found === name;
}

export const ssh2OnlyInHost = packageOnlyIn("ssh2", (file) => folderOf(file) === "host");
export const xmlOnlyInLibvirt = packageOnlyIn("fast-xml-parser", (file) => file.startsWith("hypervisor/libvirt/"));
export const grpcOnlyInPulumi = packageOnlyIn("@grpc/", (file) => folderOf(file) === "pulumi");
/** dynamic.ts names the engine's type of a provider, inputs.ts that of an input; they load nothing. */
export const engineOnlyAtTheEdge = packageOnlyIn(
  "@pulumi/pulumi",
  (file, kind) =>
    folderOf(file) === "pulumi" || isResource(file) || file === "index.ts" || (kind === "type" && /^(dynamic|inputs)\.ts$/.test(file)),
);
export const noChildProcess = packageOnlyIn("node:child_process", () => false);

const effects = ["node:fs", "node:net", "node:tls", "node:http", "node:https", "node:dgram", "node:child_process", "node:timers", "ssh2"];

/** Plans and disk/ do nothing to the world: neither they nor what they load. */
export const plansAreWithoutEffects: Rule = (sources) => effectsReachedFrom([...sources.keys()].filter(isPure), sources);

/** What users import runs in their program, which need not have a host, a network or files. */
export const resourcesAreWithoutEffects: Rule = (sources) => effectsReachedFrom([...sources.keys()].filter(isResource), sources);

function effectsReachedFrom(starts: readonly string[], sources: Sources): string[] {
  return starts.flatMap((start) =>
    [...reachable(start, sources)].flatMap(([file, way]) =>
      importsOf(file, sources.get(file) ?? "")
        .filter((found) => found.kind === "value" && effects.includes(packageRoot(found)))
        .map((found) => `${way.join(" → ")} imports ${found.specifier}`),
    ),
  );
}

function packageRoot(found: Import): string {
  return found.package ?? "";
}

/** Time comes into a plan as a value. */
export const plansHaveNoClock: Rule = (sources) =>
  [...sources].filter(([file]) => isPure(file)).flatMap(([file, text]) => clocksIn(file, text).map((clock) => `${file} uses ${clock}`));

const clocks = /^(Date\.now|performance\.now|process\.hrtime(\.bigint)?|setTimeout|setInterval|setImmediate|Math\.random|Date)$/;

function clocksIn(file: string, text: string): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && clocks.test(node.expression.getText())) found.push(`${node.expression.getText()}()`);
    if (ts.isNewExpression(node) && node.expression.getText() === "Date" && (node.arguments ?? []).length === 0) found.push("new Date()");
    ts.forEachChild(node, visit);
  };
  visit(parse(file, text));
  return found;
}

/** Types count too: what goes round in circles cannot be read from the bottom up. */
export const noCycles: Rule = (sources) => {
  const cycles = new Map<string, string>();
  const done = new Set<string>();
  const walk = (file: string, way: readonly string[]): void => {
    const begin = way.indexOf(file);
    if (begin >= 0) {
      const cycle = way.slice(begin);
      cycles.set([...cycle].sort().join(), [...cycle, file].join(" → "));
      return;
    }
    if (done.has(file)) return;
    for (const { file: next } of importsOf(file, sources.get(file) ?? ""))
      if (next !== undefined && sources.has(next)) walk(next, [...way, file]);
    done.add(file);
  };
  for (const file of sources.keys()) walk(file, []);
  return [...cycles.values()];
};

export const filesAreShort: Rule = (sources) =>
  [...sources]
    .map(([file, text]) => ({ file, lines: text.trimEnd().split("\n").length }))
    .filter(({ lines }) => lines > 300)
    .map(({ file, lines }) => `${file} has ${lines} lines, more than 300`);

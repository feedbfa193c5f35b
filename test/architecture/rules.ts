/** The rules of the layout (docs/architecture.md), as functions from sources to sentences about what breaks them. */

import ts from "typescript";
import { allImports, type Import, importsOf, parse, reachable, type Sources, unnamedLoads } from "./imports.js";

export type Rule = (sources: Sources) => string[];

/**
 * The rooms from the top down: each imports what stands below it. Rooms of one row never import each other: the flows know nothing of each
 * other, and journal, hypervisor and storage meet in data.
 */
const rows: readonly (readonly string[])[] = [
  ["resources"],
  ["flows/move", "flows/mirrored-snapshot", "flows/pull"],
  ["flows/shared"],
  ["reconciler"],
  ["journal", "hypervisor", "storage"],
  ["image"],
  ["host"],
  ["core"],
];

const folderOf = (file: string) => (file.includes("/") ? (file.split("/")[0] ?? "") : "");
const parentOf = (file: string) => file.split("/").slice(0, -1).join("/");
/** Files of which users import the classes: `resources/provider.ts` holds the explicit Provider. */
const isResource = (file: string) => file.endsWith("/resource.ts") || file === "resources/provider.ts";
const isPlan = (file: string) => file.endsWith("/plan.ts");
const isPure = (file: string) => isPlan(file) || file.startsWith("core/disk/");

interface Arrow {
  from: string;
  to: string;
  kind: Import["kind"];
}

function arrowsOf(sources: Sources): Arrow[] {
  return allImports(sources).flatMap(({ from, found }) => (found.file === undefined ? [] : [{ from, to: found.file, kind: found.kind }]));
}

const inWords = ({ from, to }: Arrow) => `${from} → ${to}`;

/** Between rooms. Each as `from → to`. */
export const arrowsPointDown: Rule = (sources) =>
  arrowsOf(sources)
    .filter((arrow) => !mayImport(arrow))
    .map(inWords);

function mayImport({ from, to, kind }: Arrow): boolean {
  if (from === "dynamic.ts") return to.startsWith("core/") || folderOf(to) === "pulumi" || to.endsWith("/lifecycle.ts");
  if (from === "index.ts") return kind === "type" || isResource(to) || to === "core/errors.ts";
  if (folderOf(from) === "pulumi") return ["pulumi", "core"].includes(folderOf(to));
  const [above, below] = [roomOf(from), roomOf(to)];
  if (above === undefined || below === undefined) return false;
  // what resources share stands in resources/ itself
  if (above.room === "resources" && below.room === "resources") return ["resources", parentOf(from)].includes(parentOf(to));
  return above.room === below.room || above.row < below.row;
}

/** Where a file stands: its room, and the row of that from the top. */
export function roomOf(file: string): { row: number; room: string } | undefined {
  for (const [row, rooms] of rows.entries()) {
    const room = rooms.find((name) => file.startsWith(`${name}/`));
    if (room !== undefined) return { row, room };
  }
  return undefined;
}

/** It chooses between two folders that fill what its own folder offers. */
const joint = "hypervisor/open.ts";

/** Between folders of one room arrows go one way, but for the joint's. Of two ways the one from the inner folder to the outer is wrong, else the rarer one. */
export const foldersPointOneWay: Rule = (sources) => {
  const arrows = arrowsOf(sources).filter(
    ({ from, to }) => from !== joint && roomOf(from)?.room === roomOf(to)?.room && parentOf(from) !== parentOf(to),
  );
  const count = (from: string, to: string) => arrows.filter((arrow) => parentOf(arrow.from) === from && parentOf(arrow.to) === to).length;
  const isWrong = (from: string, to: string): boolean => {
    const [there, back] = [count(from, to), count(to, from)];
    if (back === 0 || to.startsWith(`${from}/`)) return false;
    return from.startsWith(`${to}/`) || there < back || (there === back && from < to);
  };
  return arrows.filter(({ from, to }) => isWrong(parentOf(from), parentOf(to))).map(inWords);
};

/** Which hypervisor a guest has is asked in hypervisor/ alone. */
export const hypervisorsStandBehindOne: Rule = (sources) =>
  arrowsOf(sources)
    .filter(({ from, to }) => /^hypervisor\/\w+\//.test(to) && roomOf(from)?.room !== "hypervisor")
    .map(({ from, to }) => `${from} may not import ${to}: only hypervisor/ may`);

/** What breaks a rule and is not in the debt, and what is in the debt and breaks none: both fail. */
export function beyondDebt(broken: readonly string[], debt: readonly string[]): { added: string[]; stale: string[] } {
  return { added: broken.filter((arrow) => !debt.includes(arrow)), stale: debt.filter((arrow) => !broken.includes(arrow)) };
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
/** dynamic.ts names the engine's type of a provider, resources/inputs.ts that of an input; they load nothing. */
export const engineOnlyAtTheEdge = packageOnlyIn(
  "@pulumi/pulumi",
  (file, kind) =>
    folderOf(file) === "pulumi" ||
    isResource(file) ||
    file === "index.ts" ||
    (kind === "type" && /^(dynamic|resources\/inputs)\.ts$/.test(file)),
);
const inOne =
  (rules: readonly Rule[]): Rule =>
  (sources) =>
    rules.flatMap((rule) => rule(sources));

const starters = ["node:child_process", "node:cluster", "node:worker_threads"];
export const noChildProcess = inOne(starters.map((name) => packageOnlyIn(name, () => false)));
/** By its own name the package imports itself past the rooms. */
export const noImportOfItself = packageOnlyIn("pulumi-livedisk", () => false);

/** What an import does not say is said by no rule. */
export const loadsAreNamed: Rule = (sources) =>
  [...sources].flatMap(([file, text]) => unnamedLoads(file, text).map((load) => `${file} does not say what it loads: ${load}`));

const nets = ["node:net", "node:tls", "node:http", "node:https", "node:http2", "node:dgram", "node:dns", "node:inspector"];
const inHost = (file: string) => folderOf(file) === "host";
export const connectionsOnlyInHost = inOne([
  ...nets.map((name) => packageOnlyIn(name, inHost)),
  (sources) =>
    [...sources]
      .filter(([file]) => !inHost(file))
      .flatMap(([file, text]) =>
        namesIn(file, text, /^(globalThis\.)?(fetch|WebSocket|EventSource)$/).map((name) => `${file} uses ${name}`),
      ),
]);

const effects = [...nets, ...starters, "node:fs", "node:timers", "ssh2"];

/** Plans and core/disk/ do nothing to the world: neither they nor what they load. */
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

/** Where nothing but a world tells the time and gives a chance: the linter denies what is global or imported (biome.json), and this the rest. */
const worldly = /^(flows|reconciler|journal|storage|image|hypervisor|core|resources)\//;

export const chanceIsTheWorlds: Rule = (sources) => usesIn(sources, /^(Math\.random|AbortSignal\.timeout)$/);

function usesIn(sources: Sources, names: RegExp): string[] {
  return [...sources]
    .filter(([file]) => worldly.test(file))
    .flatMap(([file, text]) => accessesIn(file, text, names).map((name) => `${file} uses ${name}`));
}

function accessesIn(file: string, text: string, names: RegExp): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAccessExpression(node) && names.test(node.getText())) found.push(node.getText());
    ts.forEachChild(node, visit);
  };
  visit(parse(file, text));
  return found;
}

/**
 * What lasts as long as the process belongs to a world (`world.one()`), so that two can be in one process. A module may have what nobody can change:
 * a collection that is declared `readonly`, and instances of what is known to remember nothing.
 */
export const modulesRememberNothing: Rule = (sources) =>
  [...sources]
    .filter(([file]) => worldly.test(file))
    .flatMap(([file, text]) => statesOf(file, text).map((name) => `${file} remembers ${name}`));

/** Made once, and the same for all who use them. */
const withoutMemory = /^(RegExp|Intl\.\w+|XMLParser|Error|TextDecoder|TextEncoder)$/;

function statesOf(file: string, text: string): string[] {
  const atModule = parse(file, text).statements.filter(ts.isVariableStatement);
  const variables = atModule.flatMap(({ declarationList }) =>
    declarationList.declarations.filter((one) => (declarationList.flags & ts.NodeFlags.Const) === 0 || remembers(one)),
  );
  const fields = parse(file, text)
    .statements.filter(ts.isClassDeclaration)
    .flatMap(({ members }) => members.filter(isStaticState));
  return [...variables, ...fields].map(({ name }) => name?.getText() ?? "a static block");
}

function remembers({ type, initializer }: ts.VariableDeclaration | ts.PropertyDeclaration): boolean {
  if (type !== undefined && /^(ReadonlySet|ReadonlyMap|Readonly|readonly)\b/.test(type.getText())) return false;
  return initializer !== undefined && (isEmptyLiteral(initializer) || holdsState(initializer));
}

/** One that nobody fills would be for nothing. */
function isEmptyLiteral(node: ts.Node): boolean {
  if (ts.isArrayLiteralExpression(node)) return node.elements.length === 0;
  return ts.isObjectLiteralExpression(node) && node.properties.length === 0;
}

/** In what is reached without a call: what a function makes is new each time. */
function holdsState(node: ts.Node): boolean {
  if (ts.isFunctionLike(node)) return false;
  if (ts.isNewExpression(node) && !withoutMemory.test(node.expression.getText())) return true;
  return ts.forEachChild(node, holdsState) ?? false;
}

function isStaticState(member: ts.ClassElement): boolean {
  if (ts.isClassStaticBlockDeclaration(member)) return true;
  const flags = ts.getCombinedModifierFlags(member);
  if (!ts.isPropertyDeclaration(member) || (flags & ts.ModifierFlags.Static) === 0) return false;
  return (flags & ts.ModifierFlags.Readonly) === 0 || remembers(member);
}

/** What of such a name is called or made. */
function namesIn(file: string, text: string, names: RegExp): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const isMade = ts.isCallExpression(node) || ts.isNewExpression(node);
    if (isMade && names.test(node.expression.getText())) found.push(node.expression.getText());
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

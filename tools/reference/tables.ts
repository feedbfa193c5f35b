/** The tables of docs/reference.md: rows from the schemas' own order and the comments beside them. */

import { moveOptions } from "../../provider/flows/shared/options.js";
import { hostArgs } from "../../provider/host/target.js";
import { domainArgs } from "../../provider/hypervisor/address.js";
import { domainDiskArgs } from "../../provider/resources/domain-disk/resource.js";
import { mirroredSnapshotArgs } from "../../provider/resources/mirrored-snapshot/resource.js";
import { storageMigrationArgs } from "../../provider/resources/storage-migration/resource.js";
import { keysIn, membersOf, read, type Written, wordsOf } from "./comments.js";

/** Where the keys of a schema are written, in the order of the table. */
interface Place {
  file: string;
  keys: readonly string[];
  /** Before each name in the table, as `host.`. */
  prefix?: string;
}

const resource = (name: string) => `provider/resources/${name}/resource.ts`;
/** Of every resource: these have a table of their own. */
const common = ["host", "domain"];
const own = (shape: object) => Object.keys(shape).filter((key) => !common.includes(key) && !(key in moveOptions.shape));
const [first, ...rest] = Object.keys(mirroredSnapshotArgs.shape).filter((key) => !common.includes(key));

/** Every argument of every resource. */
export const places: Record<string, readonly Place[]> = {
  common: [
    { file: "provider/host/target.ts", keys: Object.keys(hostArgs.shape), prefix: "host." },
    { file: "provider/hypervisor/address.ts", keys: domainArgs.options.flatMap(({ shape }) => Object.keys(shape)), prefix: "domain." },
  ],
  DomainDisk: [{ file: resource("domain-disk"), keys: Object.keys(domainDiskArgs.shape).filter((key) => !common.includes(key)) }],
  StorageMigration: [
    { file: resource("storage-migration"), keys: own(storageMigrationArgs.shape).filter((key) => key !== "onDrift") },
    { file: "provider/flows/shared/options.ts", keys: Object.keys(moveOptions.shape) },
    { file: resource("storage-migration"), keys: ["onDrift"] },
  ],
  MirroredSnapshot: [
    { file: resource("mirrored-snapshot"), keys: first === undefined ? [] : [first] },
    { file: resource("mirrored-snapshot"), keys: ["disk", "file", "mirror", "driver"], prefix: "disks[]." },
    { file: resource("mirrored-snapshot"), keys: rest },
  ],
};

const outputs = ["| output | meaning |", "|---|---|"];
const status = ["| `status` | meaning |", "|---|---|"];

/** By the names that the page gives them. */
export function tables(): Record<string, string[]> {
  const migration = read(resource("storage-migration"));
  const snapshot = read(resource("mirrored-snapshot"));
  const report = membersOf(read("provider/flows/move/report.ts"), "DiskReport");
  const snapshotReport = membersOf(read("provider/flows/mirrored-snapshot/report.ts"), "SnapshotReport");
  return {
    ...Object.fromEntries(Object.entries(places).map(([name, of]) => [name, [...argumentsHead, ...of.flatMap(argumentRows)]])),
    "outputs of DomainDisk": [...outputs, ...outputRows(membersOf(read(resource("domain-disk")), "DomainDisk"))],
    "outputs of StorageMigration": [...outputs, ...outputRows(membersOf(migration, "StorageMigration")), ...outputRows(report, "moves.*.")],
    "outputs of MirroredSnapshot": [
      ...outputs,
      ...outputRows(membersOf(snapshot, "MirroredSnapshot")),
      ...outputRows(snapshotReport, "states.*."),
    ],
    "status of a disk": [...status, ...outputRows(wordsOf(read("provider/flows/shared/status.ts"), "DiskStatus"))],
    "status of a snapshot": [...status, ...outputRows(wordsOf(read("provider/flows/mirrored-snapshot/status.ts"), "SnapshotStatus"))],
  };
}

const argumentsHead = ["| argument | meaning | default |", "|---|---|---|"];

function argumentRows({ file, keys, prefix = "" }: Place): string[] {
  const written = keysIn(read(file));
  return keys.map((key) => {
    const found = written.get(key);
    if (!found || found.meaning === "") throw new Error(`${file} says nothing of ${key}.`);
    return row(`\`${prefix}${key}\``, found.meaning, defaultText(found.default ?? ""));
  });
}

/** `"user"` and the like as code, with what is said of it. */
function defaultText(text: string): string {
  return text.replace(/^("[^"]*"|\[\]|\d+|true|false)/, "`$1`");
}

function outputRows(written: readonly Written[], prefix = ""): string[] {
  return written.map(({ name, meaning, deprecated }) =>
    row(`\`${prefix}${name}\``, deprecated === undefined ? meaning : `Deprecated ${deprecated}`),
  );
}

function row(...cells: string[]): string {
  const escaped = cells.map((cell) => (cell === "" ? "" : `${cell.replaceAll("|", "\\|")} `));
  return `| ${escaped.join("| ")}|`;
}

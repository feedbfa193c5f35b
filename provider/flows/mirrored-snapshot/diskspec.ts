/**
 * The proposal's grammar for one disk, as virsh takes it: `disk[,snapshot=type][,driver=type][,file=name][,mirror=name]`,
 * where `,,` is a literal comma.
 */

import { UserError } from "../../core/errors.js";

export interface Diskspec {
  disk: string;
  /** libvirt's kinds: an overlay in a file of its own, a snapshot inside the image, or none of this disk. */
  snapshot?: "external" | "internal" | "no";
  driver?: string;
  file?: string;
  mirror?: string;
}

const keys = ["snapshot", "driver", "file", "mirror"] as const;
type Key = (typeof keys)[number];

const grammar = "disk[,snapshot=type][,driver=type][,file=name][,mirror=name], where ,, is a literal comma";

/** @throws UserError if the text does not follow the grammar */
export function parseDiskspec(text: string): Diskspec {
  const [disk = "", ...parts] = partsOf(text);
  if (disk === "") throw refused(text, "it names no disk");
  const found: Partial<Record<Key, string>> = {};
  for (const part of parts) {
    const [, key, value] = /^(\w+)=(.*)$/s.exec(part) ?? [];
    if (!isKey(key) || value === undefined) throw refused(text, `"${part}" is none of ${keys.map((name) => `${name}=…`).join(", ")}`);
    if (key in found) throw refused(text, `it says ${key} twice`);
    if (value === "") throw refused(text, `its ${key} is empty`);
    found[key] = value;
  }
  const { snapshot, ...rest } = found;
  if (snapshot === undefined) return { disk, ...rest };
  if (snapshot === "external" || snapshot === "internal" || snapshot === "no") return { disk, snapshot, ...rest };
  throw refused(text, `snapshot is external, internal or no, and not "${snapshot}"`);
}

/** The parts between single commas; read from the left, as virsh does: of three commas the first two are a literal one. */
function partsOf(text: string): string[] {
  const parts = text.split(/(,,|,)/).reduce<[string, ...string[]]>(
    ([current, ...done], piece) => {
      if (piece === ",") return ["", current, ...done];
      return [current + (piece === ",," ? "," : piece), ...done];
    },
    [""],
  );
  return parts.reverse();
}

function isKey(key: string | undefined): key is Key {
  return keys.some((known) => known === key);
}

function refused(text: string, why: string): UserError {
  return new UserError(`diskspec "${text}": ${why}. The grammar is ${grammar}.`);
}

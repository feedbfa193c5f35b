/**
 * The harness as a program `pulumi`, with the words that the examples' scripts use: where no CLI is found, they are run by this one.
 * As the CLI does on a `file://` backend: the state lies in the backend, the stack's config in Pulumi.<stack>.yaml beside Pulumi.yaml,
 * an update holds a lock that a killed one leaves, the first SIGINT or SIGTERM starts nothing more and the second ends.
 */

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { messageOf } from "../../provider/core/errors.js";
import { readState } from "./deployment.js";
import type { Engine } from "./engine.js";
import { openHarness } from "./harness.js";
import { readProject } from "./project.js";

const yaml: { load(text: string): unknown; dump(value: unknown): string } = createRequire(require.resolve("@pulumi/pulumi"))("js-yaml");

/** Values in plain, or under `secure`; this is a play, so base64 has to do for encryption. */
type StackConfig = Record<string, unknown>;

const options = {
  stack: { type: "string" },
  create: { type: "boolean" },
  secret: { type: "boolean" },
  yes: { type: "boolean" },
  diff: { type: "boolean" },
  "skip-preview": { type: "boolean" },
  "non-interactive": { type: "boolean" },
  "expect-no-changes": { type: "boolean" },
} as const;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const [verb = "", noun = "", ...rest] = positionals;
  const name = values.stack ?? (noun === "select" ? rest[0] : undefined);
  if (name === undefined) throw new Error("no stack is named: use --stack");
  const stack = new Stack(name);
  switch (verb === "stack" || verb === "config" ? `${verb} ${noun}` : verb) {
    case "stack select":
      return 0;
    case "stack output":
      console.log(stack.output(rest[0] ?? ""));
      return 0;
    case "config set":
      stack.setConfig(rest[0] ?? "", rest[1] ?? (await text(process.stdin)).trimEnd(), values.secret ? "secret" : "plain");
      return 0;
    case "cancel":
      stack.unlock();
      return 0;
    case "preview":
      return stack.run("preview", { expectNoChanges: values["expect-no-changes"] ?? false });
    case "up":
    case "refresh":
    case "destroy":
      stack.lock();
      return stack.run(verb as "up" | "refresh" | "destroy", {}).finally(() => stack.unlock());
    default:
      throw new Error(`unknown command ${positionals.join(" ")}`);
  }
}

class Stack {
  readonly #project = readProject(process.cwd());
  readonly #folder: string;

  constructor(readonly name: string) {
    this.#folder = path.join(fileURLToPath(process.env.PULUMI_BACKEND_URL ?? ""), this.#project.name);
    mkdirSync(this.#folder, { recursive: true });
  }

  engine(): Engine {
    const all = Object.entries(this.#config());
    const secrets = all.flatMap(([key, value]) => (isSecure(value) ? [[key, Buffer.from(value.secure, "base64").toString()]] : []));
    const config = all.flatMap(([key, value]) =>
      isSecure(value) ? [] : [[key, typeof value === "string" ? value : JSON.stringify(value)]],
    );
    const both = { config: Object.fromEntries(config), secrets: Object.fromEntries(secrets) };
    return openHarness({ project: process.cwd(), workFolder: this.#folder, stack: this.name, ...both });
  }

  async run(verb: "preview" | "up" | "refresh" | "destroy", { expectNoChanges = false }): Promise<number> {
    const end = new AbortController();
    let asked = 0;
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.on(signal, () => {
        console.log(`${signal}: what is under way is waited for; once more, and it is ended`);
        if (++asked > 1) end.abort();
      });
    }
    const { exitStatus } = await this.engine()[verb]({ expectNoChanges, signal: end.signal, onProgress: (line) => console.log(line) });
    return exitStatus;
  }

  output(name: string): unknown {
    const { resources } = readState(path.join(this.#folder, `${this.name}.json`)).deployment;
    return resources.find(({ type }) => type === "pulumi:pulumi:Stack")?.outputs[name];
  }

  lock(): void {
    try {
      writeFileSync(this.#lockFile, String(process.pid), { flag: "wx" });
    } catch (cause) {
      throw new Error(`the stack is currently locked by 1 lock(s): ${this.#lockFile}; \`pulumi cancel\` takes it away`, { cause });
    }
  }

  unlock(): void {
    rmSync(this.#lockFile, { force: true });
  }

  setConfig(key: string, value: string, kind: "secret" | "plain"): void {
    const config = { ...this.#config(), [key]: kind === "secret" ? { secure: Buffer.from(value).toString("base64") } : value };
    writeFileSync(this.#configFile, yaml.dump({ config }));
  }

  get #lockFile(): string {
    return path.join(this.#folder, `${this.name}.lock`);
  }

  get #configFile(): string {
    return `Pulumi.${this.name}.yaml`;
  }

  #config(): StackConfig {
    // the tests' own file: its shape needs no check here
    const file = existsSync(this.#configFile)
      ? (yaml.load(readFileSync(this.#configFile, "utf8")) as { config?: StackConfig } | null)
      : null;
    return file?.config ?? {};
  }
}

function isSecure(value: unknown): value is { secure: string } {
  return typeof value === "object" && value !== null && "secure" in value && typeof value.secure === "string";
}

main().then(
  (status) => process.exit(status),
  (reason) => {
    console.error(`error: ${messageOf(reason)}`);
    process.exit(255);
  },
);
